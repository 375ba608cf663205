"""A dry run says what would be asked of each step, and does nothing."""

from __future__ import annotations

import yaml

from tests.e2e.cli import Project

_PARENT = "- {step_id: below, op: job.run, params: {job_id: people, payload: {count: '@payload.count'}}}\n"
_LOUD = """
from pathlib import Path

def execute(params):
    Path("executed").touch()
    return {"items": []}
"""


def test_a_dry_run_dispatches_and_records_nothing(people: Project) -> None:
    people.callable("people", _LOUD)
    people("run", "people", "--payload", "count=7", "--dry-run").require(0)
    assert not people.has_store()
    assert not (people.root / "executed").exists()
    assert not list(people.root.rglob("*.jsonl"))


def test_every_step_is_shown_as_its_author_wrote_it_with_what_it_calls_and_writes(people: Project) -> None:
    shown = people("run", "people", "--payload", "count=48151623", "--dry-run").require(0)
    assert "48151623" not in shown.out + shown.err
    fetch, persist, write = yaml.safe_load(shown.out)["steps"]
    assert fetch["params"] == {"callable": "people", "count": "@payload.count"}
    assert fetch["callable"]["name"] == "people"
    assert fetch["callable"]["origin"] == f"project {people.root}/callables/people.py"
    assert len(fetch["callable"]["content_hash"]) == 64
    assert persist["writes"] == {
        "method": "table.upsert",
        "dataset": "raw",
        "table": "people",
        "key_columns": ["idem_key"],
    }
    assert write["params"] == {"plan": "@run.persist.plan"}
    assert [step["segment"] for step in (fetch, persist, write)] == [1, 1, 1]


def test_the_same_as_json(people: Project) -> None:
    shown = people.inside("exec", "job", "people", "--payload", "count=1", "--dry-run", "--json").require(0).json
    assert (shown["status"], shown["success"]) == ("dry_run", True)
    assert [step["step_id"] for step in shown["preview"]["steps"]] == ["fetch", "persist", "write"]


def test_what_a_call_reads_is_shown(people: Project) -> None:
    read = "{dataset: raw, table: people, where: {number: '@payload.count'}}"
    people.job("reads", f"- {{step_id: only, op: call, params: {{callable: people, count: 1, read: {read}}}}}\n")
    shown = people.inside("run", "reads", "--payload", "count=1", "--dry-run", "--json").require(0).json
    assert shown["preview"]["steps"][0]["reads"]["where"] == {"number": "@payload.count"}


def test_a_child_is_shown_as_a_dry_run_of_its_own(people: Project) -> None:
    people.job("above", _PARENT)
    shown = people.inside("run", "above", "--payload", "count=1", "--dry-run", "--json").require(0).json
    child = shown["preview"]["steps"][0]["child"]
    assert child["job_id"] == "people"
    assert [step["op"] for step in child["steps"]] == ["call", "plan.build", "storacle.submit"]
    assert not people.has_store()


def test_a_child_that_depends_on_the_run_is_named(people: Project) -> None:
    people.job(
        "above",
        "- {step_id: first, op: call, params: {callable: people, count: 1}}\n"
        "- {step_id: below, op: job.run, params: {job_id: people, payload: {count: '@run.first.stats.asked_for'}}}\n",
    )
    shown = people.inside("run", "above", "--dry-run", "--json").require(0).json
    assert shown["preview"]["steps"][1]["child"] == {
        "job_id": "people",
        "steps": "known when the steps before this one have run",
    }


def test_a_skipped_step_is_shown_as_skipped(people: Project) -> None:
    people.job("maybe", "- {step_id: only, op: call, if: '@ctx.go', params: {callable: people, count: 1}}\n")
    shown = people.inside("run", "maybe", "--ctx", "go=false", "--dry-run", "--json").require(0).json
    assert shown["preview"]["steps"][0]["skipped"] is True


def test_no_secret_is_needed(people: Project) -> None:
    people.settings("llm: {base_url: 'https://llm.invalid/v1', api_key: 'env:NOT_SET_ANYWHERE', model: m}\n")
    people.job("asks", "- {step_id: ask, op: compute.llm, params: {prompt: '@payload.prompt'}}\n")
    shown = people.inside("run", "asks", "--payload", "prompt=canary", "--dry-run").require(0)
    assert yaml.safe_load(shown.out)["steps"][0]["params"] == {"prompt": "@payload.prompt"}
    assert "canary" not in shown.out + shown.err


def test_what_could_not_start_fails_in_a_dry_run_too(people: Project) -> None:
    people.job("circle", "- {step_id: only, op: job.run, params: {job_id: circle}}\n")
    people.job("unknown", "- {step_id: only, op: call, params: {callable: poeple}}\n")
    people.job("above", "- {step_id: only, op: job.run, params: {job_id: unknown}}\n")
    assert "circle -> circle" in people.inside("run", "circle", "--dry-run").require(65).err
    for job_id in ("unknown", "above"):
        assert "did you mean 'people'?" in people.inside("run", job_id, "--dry-run").require(65).err
    assert not people.has_store()
