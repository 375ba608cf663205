"""A stage that reads what it has not done yet: each record once, until its content or the stage's code changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable.context import CallableContext
from lorchestra.errors import TransientError
from lorchestra.items import MarkerResult, Record, Rejected
from lorchestra.result import ExecutionResult
from lorchestra.schemas import JobDef
from tests.jobs import Lab, call, job, outcomes, submit

READ = {"dataset": "raw", "table": "raw_objects", "unprocessed": "shorten"}


def load(lab: Lab, **texts: str) -> None:
    """Put raw objects there, by their keys."""
    items = [{"idem_key": key, "payload": {"text": text}} for key, text in texts.items()]
    target = {"method": "table.upsert", "dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"]}
    plan = {"step_id": "plan", "op": "plan.build", "params": {"items": items, **target}}
    assert lab.run(job(plan, submit("write", "plan"), job_id="load")).status == "completed"


def shorten_job(**params: Any) -> JobDef:
    target = {"method": "table.upsert", "dataset": "clinic", "table": "short", "key_columns": ["idem_key"]}
    plan = {"step_id": "plan", "op": "plan.build", "params": {"items": "@run.shorten.items", **target}}
    return job(call("shorten", params={"read": READ, **params}), plan, submit("write", "plan"), job_id="shorten")


def shorten(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
    return {"items": _short(context)}


def _short(context: CallableContext) -> Iterator[Any]:
    for record in context.items:
        assert isinstance(record, Record)
        payload: Any = record.data["payload"]
        text = payload["text"]
        if text == "bad":
            yield Rejected(idem_key=record.idem_key or "", schema="text", pointer="/payload/text", rule="not-bad")
            yield from context.done(record, MarkerResult.QUARANTINED)
        elif text:
            yield {"idem_key": f"{record.idem_key}#short", "text": text[:2], "all": len(record.data)}
            yield from context.done(record)
        else:
            yield from context.done(record, MarkerResult.EMPTY)


def marked(result: ExecutionResult) -> int:
    return int(outcomes(result)["shorten"].counts.get("marker", 0))


def seen(lab: Lab, definition: JobDef) -> int:
    """How many records a run of the stage took up."""
    return marked(lab.run(definition))


@pytest.fixture
def stage(lab: Lab) -> Lab:
    lab.register(shorten=shorten)
    load(lab, a="long", b="", c="bad")
    return lab


def test_record_is_taken_up_once_whatever_came_of_it(stage: Lab) -> None:
    assert seen(stage, shorten_job()) == 3
    assert stage.rows("short") == ["a#short"]
    assert {row["idem_key"]: row["result"] for row in stage.service.rows("storacle", "_processed")} == {
        "a": "ok",
        "b": "empty",
        "c": "quarantined",
    }
    assert seen(stage, shorten_job()) == 0


def test_changed_record_is_taken_up_again_and_a_new_one_for_the_first_time(stage: Lab) -> None:
    seen(stage, shorten_job())
    load(stage, a="longer", b="", d="new")
    assert seen(stage, shorten_job()) == 2
    assert stage.rows("short") == ["a#short", "d#short"]


def test_record_that_passes_after_all_leaves_the_quarantine(stage: Lab) -> None:
    seen(stage, shorten_job())
    assert stage.rows("quarantine", dataset="events") == ["c"]
    load(stage, c="good", a="bad")
    assert seen(stage, shorten_job()) == 2
    assert stage.rows("quarantine", dataset="events") == ["a"]


def test_callable_sees_the_columns_that_were_asked_for_and_no_other(stage: Lab) -> None:
    seen(stage, shorten_job(read={**READ, "columns": ["idem_key", "payload"]}))
    assert [row["all"] for row in stage.service.rows("clinic", "short")] == [2]


def test_other_params_and_another_callable_are_other_code(stage: Lab) -> None:
    seen(stage, shorten_job())
    assert seen(stage, shorten_job(least=3)) == 3
    assert seen(stage, shorten_job(least=3)) == 0

    def shorten_differently(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
        return shorten(params, context)

    stage.register(shorten=shorten_differently)
    assert seen(stage, shorten_job(least=3)) == 3


def test_value_given_anew_each_time_is_no_other_code(stage: Lab) -> None:
    definition = shorten_job(day="@payload.day")

    def taken_up(day: str) -> int:
        return marked(stage.run(definition, payload={"day": day}))

    assert [taken_up("monday"), taken_up("tuesday")] == [3, 0]


def test_changed_resource_is_other_code(stage: Lab, tmp_path: Path) -> None:
    class WithRules:
        resources: Callable[..., Any] = staticmethod(lambda params: {"rules": "rules.txt"})
        execute = staticmethod(shorten)

    rules = tmp_path / "rules.txt"
    stage.register(shorten=WithRules())

    def taken_up(text: str) -> int:
        rules.write_text(text)
        return marked(stage.run(shorten_job(), executor=stage.executor(content=tmp_path)))

    assert [taken_up("one"), taken_up("one"), taken_up("two")] == [3, 0, 3]


def test_record_whose_results_did_not_land_is_taken_up_again(stage: Lab) -> None:
    def refuse(message: Any) -> None:
        if "_processed" in str(message):
            raise TransientError("away")

    failed = stage.run(shorten_job(), executor=stage.executor(client=stage.client(refuse)))
    assert failed.status == "failed"
    assert stage.rows("short") == []
    assert seen(stage, shorten_job()) == 3


def test_without_a_stage_there_is_nothing_to_mark(lab: Lab) -> None:
    lab.register(shorten=shorten)
    load(lab, a="long")
    read = {"dataset": "raw", "table": "raw_objects"}
    assert seen(lab, shorten_job(read=read)) == 0
    assert lab.rows("short") == ["a#short"]
    assert seen(lab, shorten_job(read=read)) == 0
    assert lab.service.rows("storacle", "_processed") == []


def test_stage_may_be_null(lab: Lab) -> None:
    lab.register(shorten=shorten)
    load(lab, a="long")
    assert seen(lab, shorten_job(read={**READ, "unprocessed": None})) == 0
    assert lab.rows("short") == ["a#short"]
