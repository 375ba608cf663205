"""Names are shown where an author wrote them, and not where they may have been made of data."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from lorchestra import code_names
from lorchestra.callable.context import CallableLog
from lorchestra.compiler import compile_job
from lorchestra.errors import CompileError, PermanentError, PlanError
from lorchestra.handlers import llm_client
from lorchestra.items import Record, as_item, encode
from lorchestra.language import json_check
from lorchestra.plan_builder import PlanKeys, PlanSpec, plan_ops
from lorchestra.reporting import log
from lorchestra.schemas import Envelope, JobDef
from lorchestra.storacle import methods, params
from lorchestra.storacle.error_codes import POINTER_WORDS, ErrorCode, error_for
from lorchestra.storacle.read_spec import Comparison
from lorchestra.supervision.scope import StepRaised

CANARY = "canary_5b1f"
EVENT = "rows.read"
KEYS = PlanKeys(run_id="r", job_id="j", step_id="s")
UPSERT = {"method": "table.upsert", "dataset": "raw", "table": "rows", "key_columns": ["id"]}


def made(*bases: type, **members: Any) -> type:
    return type(CANARY, bases, members)


def line_of(act: Callable[[CallableLog], object]) -> dict[str, Any]:
    stream = io.StringIO()
    undo = log.configure(stream=stream, format="json")
    try:
        act(log.CountsLog(log.get_logger("lorchestra.test")))
    finally:
        undo()
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


# The log of a callable


def test_names_that_stand_in_the_code_are_logged() -> None:
    def note(callable_log: CallableLog, event: str, **counts: int) -> None:
        callable_log.info(event, **counts)

    for act in (
        lambda callable_log: callable_log.info("rows.read", rows=3),
        lambda callable_log: callable_log.info(EVENT, **{"rows": 3}),
        lambda callable_log: note(callable_log, "rows.read", rows=3),
    ):
        line = line_of(act)
        assert (line["event"], line["rows"]) == ("rows.read", 3)


def test_names_that_are_made_of_data_are_left_out() -> None:
    row = json.loads('{"name": "canary_5b1f_made"}')
    name = row["name"]

    line = line_of(lambda callable_log: callable_log.info(name, **{name: 1}))

    assert (line["event"], line["unnamed_fields"]) == ("callable_event", 1)
    assert name not in line


def test_names_in_code_that_was_made_while_it_ran_are_left_out() -> None:
    space: dict[str, Any] = {}
    exec(f"def act(log):\n    log.info('{CANARY}_made')", space)

    assert line_of(space["act"])["event"] == "callable_event"


# Types and places


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: as_item(made()()),
        lambda: encode(Record({"a": made()()})),
        lambda: encode(Record({made()(): 1})),
    ],
)
def test_a_type_that_was_made_is_not_named(refuse: Callable[[], object]) -> None:
    with pytest.raises(PermanentError) as caught:
        refuse()

    assert CANARY not in str(caught.value)


def test_types_that_were_made_are_named_by_what_they_are_made_from() -> None:
    assert code_names.plain_name(made(KeyError)()) == "KeyError (a subclass)"
    assert CANARY not in str(StepRaised("fetch", made(KeyError)()))
    assert CANARY not in json_check.describe(made()())
    assert json_check.describe(b"") == "a value of type bytes"


def test_a_function_that_was_made_while_it_ran_is_not_named() -> None:
    assert code_names.place("<string>", 3, CANARY) == "<generated>:3:<generated>"
    assert code_names.place(__file__, 3, "refuse").endswith("test_canary_names.py:3:refuse")


# Keys of a payload


def test_what_pydantic_says_of_a_wrong_value_does_not_quote_it() -> None:
    with pytest.raises(ValidationError) as caught:
        Envelope(job_id="a", payload=[CANARY])  # type: ignore[arg-type]  # wrong on purpose

    assert CANARY not in str(caught.value)


def test_a_place_in_a_payload_is_told_without_its_keys() -> None:
    value = {"a": 1, CANARY: [0, {CANARY: {1}}]}
    (problem,) = json_check.problems_of(value)

    assert json_check.without_keys(value, problem.path) == ("<key 2>", 1, "<key 1>")


def test_the_version_of_a_child_job_is_written_in_the_definition() -> None:
    step = {"step_id": "a", "op": "job.run", "params": {"job_id": "b", "version": "@payload.version"}}
    definition = JobDef.model_validate({"job_id": "a", "version": "2.0", "steps": [step]})

    with pytest.raises(CompileError, match="'version' is a reference"):
        compile_job(definition, payload={"version": CANARY})


# Names of columns


@pytest.mark.parametrize(
    ("changes", "authored"),
    [
        ({"fields": ["id", CANARY]}, f"item 1 has no field '{CANARY}'"),
        ({"key_columns": [CANARY]}, f"item 1 has no value in '{CANARY}'"),
        ({"key_columns": [CANARY], "fields": ["id"]}, f"'fields' leaves out the key column '{CANARY}'"),
        ({"batch_size": 771_771}, "'batch_size' is 771771"),
    ],
)
def test_names_that_came_with_a_payload_are_not_quoted(changes: dict[str, Any], authored: str) -> None:
    def plan(*, is_authored: bool) -> str:
        with pytest.raises(PlanError) as caught:
            list(plan_ops([Record({"id": 1})], PlanSpec.from_params(UPSERT | changes, is_authored=is_authored), KEYS))
        return str(caught.value)

    assert authored in plan(is_authored=True)
    assert CANARY not in plan(is_authored=False)
    assert "771771" not in plan(is_authored=False)


class Talking(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise KeyError(CANARY)

    def __iter__(self) -> Iterator[str]:
        yield "id"

    def __len__(self) -> int:
        return 1


def test_a_mapping_that_raises_what_it_holds_is_not_quoted() -> None:
    with pytest.raises(PlanError) as caught:
        list(plan_ops([Record(Talking())], PlanSpec.from_params(UPSERT), KEYS))

    assert CANARY not in str(caught.value)


# Pointers of storacle


def test_a_pointer_shows_words_of_the_protocol_and_positions() -> None:
    error = error_for(ErrorCode.INVALID_PARAMS, {"pointer": f"/read/where/{CANARY}/in/3"}, method="m")

    assert "at /read/where/*/in/3)" in str(error)


def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models of all methods and reads: they are loaded with the table of methods."""
    assert methods.INWARD
    for one in model.__subclasses__():
        yield one
        yield from below(one)


def test_every_word_of_the_protocol_can_be_shown() -> None:
    fields = {name for model in below(params.Params) for name in model.model_fields}

    assert fields | {one.value for one in Comparison} == POINTER_WORDS


# The log of the HTTP library


def test_what_others_say_through_the_http_library_is_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert llm_client
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("httpx").info("somebody asked")
        logging.getLogger("httpcore.http11").debug("somebody asked")

    assert [record.message for record in caplog.records] == ["somebody asked"] * 2
