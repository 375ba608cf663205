"""The table of docs/plans.md that says what each method promises: every cell of it, against each service that ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from lorchestra.json_value import sha256
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpResult, OpStatus, PlanRefused, RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.journal import JournalService
from lorchestra.storacle.transports import InProcessTransport, Service

from . import pages

SECTION = pages.page("docs/plans.md").section("What each key promises")
TABLE = {"dataset": "raw", "table": "notes", "key_columns": ["idem_key"]}
META = RpcMeta(job_id="job", run_id="", step_id="write", correlation_id="c", ts="2024-05-01T00:00:00+00:00")


def cells() -> Iterator[tuple[str, str, str, str]]:
    for methods, resent, same, other in pages.rows_of(SECTION):
        for method in methods.split(", "):
            yield method.strip("`"), resent, same, other


class Runs:
    """Runs that write the same or other content; the key of an op is made of its run and its content."""

    def __init__(self, service: Service, effects: Callable[[], int]) -> None:
        self._client = RpcClient(InProcessTransport(service))
        self._metas: dict[str, RpcMeta] = {}
        self.effects = effects

    def rows(self) -> list[dict[str, Any]]:
        return [
            dict(row)
            for row in self._client.query({"dataset": "raw", "table": "notes"}, replace(META, run_id="reader"))
        ]

    def submit(self, run_id: str, method: str, params: dict[str, Any]) -> OpResult:
        if run_id not in self._metas:
            meta = replace(META, run_id=run_id)
            self._metas[run_id] = replace(meta, token=self._client.open_run(meta))
        op = StoracleOp(op_id="op-1", method=method, params=params, idempotency_key=sha256([run_id, method, params]))
        (result,) = self._client.execute_plan(StoraclePlan(correlation_id="c", ops=(op,)), self._metas[run_id])
        return result

    def says(self, run_id: str, method: str, params: dict[str, Any]) -> str:
        """What became of it, in the words of the table."""
        try:
            result = self.submit(run_id, method, params)
        except PlanRefused as refused:
            return {ErrorCode.CONFLICT: "refused (`conflict`)"}.get(ErrorCode(refused.code), "asked anew")
        if result.status is OpStatus.ALREADY:
            return "recognised"
        (name,) = [name for name, count in result.counts.items() if count]
        return {"updated": "replaces", "unchanged": "`unchanged`", "absent": "`absent`"}.get(name, name)


@pytest.fixture(params=["journal", "sqlite"])
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    if request.param == "journal":
        journal = JournalService()
        yield Runs(journal, lambda: journal.effects)
        return
    backend = SqliteBackend(None)
    yield Runs(DataService(backend), lambda: backend.effects)
    backend.close()


def contents(method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run sends, and what another sends under the same keys."""
    if method == "state.put":
        return {"key": "feed", "value": 1}, {"key": "feed", "value": 2}
    if method.startswith("assert."):
        # The second asks for what is not so.
        (name, good, bad) = {
            "assert.rows": ("count", 2, 3),
            "assert.exists": ("where", {"text": "same"}, {"text": "other"}),
            "assert.unique": ("columns", ["idem_key"], ["text"]),
        }[method]
        plain = {"dataset": "raw", "table": "notes"}
        return {**plain, name: good}, {**plain, name: bad}
    return {**TABLE, "rows": [{"idem_key": "note:1", "text": "A"}]}, {
        **TABLE,
        "rows": [{"idem_key": "note:1", "text": "B"}],
    }


@pytest.mark.parametrize(("method", "resent", "same", "other"), tuple(cells()))
def test_a_method_promises_what_the_table_says(runs: Runs, method: str, resent: str, same: str, other: str) -> None:
    first, second = contents(method)
    if method.startswith("assert."):
        notes = [{"idem_key": f"note:{number}", "text": "same"} for number in (1, 2)]
        runs.submit("before", "table.upsert", {**TABLE, "rows": notes})
    if method == "table.delete":
        runs.submit("before", "table.upsert", first)

    runs.submit("run-1", method, first)
    rows, effects = runs.rows(), runs.effects()

    assert resent.startswith(runs.says("run-1", method, first))
    assert (runs.rows(), runs.effects()) == (rows, effects)
    said = runs.says("run-2", method, first)
    assert same.startswith("asked anew" if said == "matched" else said)
    said = runs.says("run-3", method, second)
    assert said in other if method == "state.put" else other.startswith(said)


def test_a_then_b_then_a_again_ends_as_a(runs: Runs) -> None:
    first, second = contents("table.upsert")

    for run_id, content in (("run-1", first), ("run-2", second), ("run-3", first)):
        runs.submit(run_id, "table.upsert", content)

    assert runs.rows() == first["rows"]


def test_a_cursor_is_stored_when_it_expects_what_is_stored(runs: Runs) -> None:
    first, second = contents("state.put")
    runs.submit("run-1", "state.put", first)

    result = runs.submit("run-2", "state.put", {**second, "expected": first["value"]})

    assert result.counts["stored"] == 1


def test_an_assertion_that_is_sent_again_is_not_asked_again(runs: Runs) -> None:
    runs.submit("before", "table.upsert", contents("table.upsert")[0])
    claim = {"dataset": "raw", "table": "notes", "count": 1}
    runs.submit("run-1", "assert.rows", claim)
    runs.submit("before", "table.delete", contents("table.delete")[0])

    assert runs.submit("run-1", "assert.rows", claim).status is OpStatus.ALREADY
    with pytest.raises(PlanRefused):
        runs.submit("run-2", "assert.rows", claim)
