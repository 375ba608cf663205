"""Who wrote a row, asked on the command line; and smoke runs that read production."""

from __future__ import annotations

from tests.data_plane import rows_in
from tests.e2e.cli import Project

_COPY = """
def execute(params, context):
    return {"items": ({"idem_key": record.data["idem_key"]} for record in context.items)}
"""
_COPYING = """
- step_id: copy
  op: call
  params: {callable: copy, read: {dataset: raw, table: people}}
- {step_id: persist, op: plan.build, params: {items: '@run.copy.items', method: table.upsert, dataset: clinic,
   table: copies, key_columns: [idem_key]}}
- {step_id: write, op: storacle.submit, params: {plan: '@run.persist.plan'}}
"""


def a_key(people: Project) -> str:
    people.inside("run", "people", "--payload", "count=3").require(0)
    return str(rows_in(people.root / ".lorchestra" / "data.db", "raw", "people")[0]["idem_key"])


def test_row_is_traced_to_the_run_the_job_and_the_code_that_wrote_it(people: Project) -> None:
    key = a_key(people)
    [written] = people.inside("ledger", "show", key, "--json").require(0).json
    [run] = people.inside("runs", "list", "--json").require(0).json
    assert written["table"] == "raw.people"
    assert written["op"]["run_id"] == run["run_id"]
    op = written["op"]
    assert (op["job_id"], op["job_version"], op["step_id"]) == ("people", "2.0", "write")
    assert len(written["op"]["code_sha256"]) == 64
    [op] = people.inside("ledger", "show", written["op"]["key"], "--json").require(0).json
    assert op == {"table": None, "content_hash": None, "op": written["op"]}


def test_ledger_is_shown_to_people_too(people: Project) -> None:
    key = a_key(people)
    shown = people.inside("ledger", "show", key).require(0).out
    assert shown.startswith("row of raw.people\n")
    assert "  job_id: people\n" in shown
    assert "  counts: inserted 3, updated 0, unchanged 0\n" in shown


def test_key_that_nobody_wrote_is_an_error_that_says_so(people: Project) -> None:
    a_key(people)
    assert "no row and no op has this key" in people.inside("ledger", "show", "nobody").require(2).err
    people.inside("ledger", "show", a_key(people), "--smoke-namespace", "trial").require(2)


def test_smoke_run_may_read_production_and_writes_only_its_own(people: Project) -> None:
    a_key(people)
    people.callable("copy", _COPY)
    people.job("copying", _COPYING)
    data = people.root / ".lorchestra" / "data.db"
    people.inside("run", "copying", "--smoke-namespace", "trial").require(0)
    assert rows_in(data, "clinic", "copies", namespace="smoke_trial") == []
    people.inside("run", "copying", "--smoke-namespace", "trial", "--read-from", "prod").require(0)
    assert len(rows_in(data, "clinic", "copies", namespace="smoke_trial")) == 3
    assert rows_in(data, "clinic", "copies") == []


def test_reading_production_without_a_namespace_is_wrong_usage(people: Project) -> None:
    assert "--smoke-namespace" in people.inside("run", "people", "--read-from", "prod").require(64).err
