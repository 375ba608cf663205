from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, field_validator

from lorchestra import json_schemas
from lorchestra.definitions import model_place, validation, validation_words, yaml_source
from lorchestra.errors import JobValidationError, Location, Problem
from lorchestra.schemas import Envelope, JobDef, Op, PipelineDef
from lorchestra.schemas.value import Value

STEP = "{step_id: a, op: call}"
STEPS = f"steps: [{STEP}]"


def job(text: str, *, job_id: str = "x", version: str = "'2.0'") -> str:
    """A job whose third line is the first of `text`."""
    return f"job_id: {job_id}\nversion: {version}\n{text}"


def step(text: str) -> str:
    """A job whose one step has, in line 4 and at column 3, the keys of `text`."""
    return job(f"steps:\n- {text}\n  step_id: a\n  op: call\n")


def problems_in(text: str, model: type[BaseModel] = JobDef, **options: Any) -> list[str]:
    with pytest.raises(JobValidationError) as caught:
        validation.validate(model, yaml_source.parse(text, file="f"), **options)
    return [str(problem) for problem in caught.value.problems]


def test_a_definition_without_mistakes_is_its_model() -> None:
    text = job(
        "steps:\n- step_id: fetch\n  op: call\n  params: {callable: injest, b: '@ctx.b', a: 1}\n"
        "  if: '@ctx.on == true'\n  timeout_s: 5\n  retry: {max_retries: 2}\ntags: [daily]\n"
    )
    definition = validation.validate(JobDef, yaml_source.parse(text, file="f"))
    assert definition.steps[0].op is Op.CALL
    assert definition.steps[0].if_ == "@ctx.on == true"
    assert list(definition.steps[0].params) == ["callable", "b", "a"]
    assert definition.tags == ("daily",)


MISTAKES = [
    (job(STEPS, version="2.0"), "f:2:10: found the number 2.0; expected a quoted string; did you mean '2.0'?"),
    (job(STEPS, version="2.10"), "f:2:10: found the number 2.10; expected a quoted string; did you mean '2.10'"),
    (job(STEPS, version="2"), "f:2:10: found the number 2; expected a quoted string; did you mean '2.0'?"),
    (job(STEPS, version="v2"), "f:2:10: found the text 'v2'; expected '<major>.<minor>' in quotes"),
    (job(STEPS, version="'3.1'"), "f:2:10: format 3 is not known; expected '2.<minor>'"),
    (job(STEPS, job_id="Canonize-Gmail"), "f:1:9: found the text 'Canonize-Gmail'; expected small letters"),
    (job(STEPS, job_id="Canonize-Gmail"), "did you mean 'canonize_gmail'?"),
    (job(STEPS, job_id="7"), "f:1:9: found the number 7; expected a quoted string"),
    (job(STEPS, job_id="a" * 200), "expected at most 128 characters"),
    (f"version: '2.0'\n{STEPS}", "f:1:1: the key 'job_id' is missing; expected `job_id:` with small"),
    (job("stps: []"), "f:3:1: unknown key 'stps'; expected one of job_id, version, steps,"),
    (job("stps: []"), "did you mean 'steps'?"),
    (job("steps:"), "f:3:7: found nothing; expected a list"),
    (job("steps: null"), "f:3:8: found null; expected a list"),
    (job("steps: []"), "f:3:8: found an empty list; expected 1 or more in it"),
    (job("steps: {a: 1}"), "f:3:8: found a mapping; expected a list"),
    (job("steps:\n- x"), "f:4:3: found the text 'x'; expected a mapping"),
    (job(f"{STEPS}\ntags: daily"), "f:4:7: found the text 'daily'; expected a list"),
    (job(f"{STEPS}\ntags: [1]"), "f:4:8: found the number 1; expected a quoted string; did you mean '1'?"),
    (job(f"{STEPS}\ndescription: [x]"), "f:4:14: found a list; expected text"),
    (job(f"{STEPS}\nconcurrency: queu"), "f:4:14: found the text 'queu'; expected one of 'allow', 'queue'"),
    (job("steps:\n- step_id: a"), "f:4:3: the key 'op' is missing; expected `op:` with one of 'call', 'plan.build'"),
    (step("timeot_s: 5"), "f:4:3: unknown key 'timeot_s'"),
    (step("timeot_s: 5"), "did you mean 'timeout_s'?"),
    (step("if_: x"), "f:4:3: unknown key 'if_'"),
    (step("callable: injest"), "what the op itself is told belongs under `params`"),
    (step("timeout_s: 0"), "f:4:14: found the number 0; expected a number above 0"),
    (step("timeout_s: 1e9"), "f:4:14: found the number 1e9; expected at most 604800"),
    (step("timeout_s: '300'"), "f:4:14: found the text '300'; expected a number; write it without quotes"),
    (step("timeout_s: soon"), "f:4:14: found the text 'soon'; expected a number"),
    (step("workers: 1.5"), "f:4:12: found the number 1.5; expected a whole number"),
    (step("workers: 0"), "f:4:12: found the number 0; expected at least 1"),
    (step("continue_on_error: yes"), "f:4:22: found the text 'yes'; expected true or false; did you mean true?"),
    (step("continue_on_error: 0"), "f:4:22: found the number 0; expected true or false; did you mean false?"),
    (step("params: [a]"), "f:4:11: found a list; expected a mapping"),
    (step("params:"), "found nothing; expected a mapping"),
    (step("if: 5"), "f:4:7: found the number 5; expected a quoted string or true or false"),
    (step("retry: {max_retres: 1}"), "f:4:11: unknown key 'max_retres'; expected one of max_retries,"),
    (step("retry: {jitter: 'no'}"), "f:4:19: found the text 'no'; expected true or false"),
    (step("retry: 3"), "f:4:10: found the number 3; expected a mapping"),
    (step("idempotency: {scope: semntic}"), "f:4:24: found the text 'semntic'; expected one of 'run', 'semantic'"),
    (step("on_error: true"), "f:4:13: found true; expected one of 'quarantine', 'fail'"),
    ("[1]", "f:1:1: found a list; expected a mapping"),
    ("just text", "f:1:1: found the text 'just text'; expected a mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_a_mistake_is_located_and_told_in_words(text: str, problem: str) -> None:
    assert any(problem in found for found in problems_in(text)), problems_in(text)


@pytest.mark.parametrize(
    ("op", "problem"),
    [
        ("call.injest", "use `op: call` with `params: {callable: injest}`"),
        ("call.view_creator", "use `op: call` with `params: {callable: view_creator}`"),
        ("plan.buid", "did you mean 'plan.build'?"),
        ("Call", "did you mean 'call'?"),
        ("5", "found the number 5; expected one of 'call'"),
        ("[call]", "found a list; expected one of 'call'"),
    ],
)
def test_a_wrong_op_is_answered_with_the_right_one(op: str, problem: str) -> None:
    (found,) = problems_in(job(f"steps:\n- step_id: a\n  op: {op}\n"))
    assert found.startswith("f:5:7: ")
    assert problem in found


@pytest.mark.parametrize("key", ["script", "python", "code", "lambda", "eval", "exec", "Shell"])
def test_a_key_that_holds_code_is_refused_and_told_why(key: str) -> None:
    (found,) = problems_in(step(f"{key}: print(1)"))
    assert found.startswith(f"f:4:3: unknown key '{key}'")
    assert "definitions hold no code" in found


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    found = problems_in(
        "job_id: X\nversion: 2.0\nsteps:\n"
        "- {step_id: a, op: cal, params: {p: '@ctz.a'}, if: '@ctx.a =', more: 1}\n"
        "- {step_id: a, op: call, idempotency: {semantic_key_ref: '@run.a.items'}}\n"
        "concurrency: x\n"
    )
    places = [each.split(": ")[0] for each in found]
    assert places == ["f:1:9", "f:2:10", "f:4:20", "f:4:37", "f:4:52", "f:4:64", "f:5:13", "f:5:58", "f:6:14"]


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("params: {a: [1, {b: '@ctx.a['}]}", "f:4:23", "@ctx.a"),
        ("params: {a: '@payloads.x'}", "f:4:15", "did you mean '@payload'?"),
        ("if: '@ctx.a = 1'", "f:4:7", "did you mean '=='?"),
        ("if: '@run.a.items'", "f:4:7", "@run.a.items"),
        ("if: yes", "f:4:7", "'yes'"),
        ("idempotency: {scope: semantic, semantic_key_ref: '@ctx['}", "f:4:52", "'@ctx' goes on with '['"),
        ("idempotency: {scope: semantic, semantic_key_ref: key}", "f:4:52", "expected a @ctx or @payload reference"),
        ("idempotency: {scope: run, semantic_key_ref: '@run.b.c'}", "f:4:47", "expected a @ctx or @payload reference"),
        (
            "idempotency: {scope: explicit}",
            "f:4:16",
            "the scope 'explicit' without a key; expected `semantic_key_ref:`",
        ),
    ],
)
def test_the_small_languages_inside_are_checked_too(text: str, place: str, word: str) -> None:
    (found,) = problems_in(step(text))
    assert found.startswith(f"{place}: ")
    assert word in found


def test_a_step_id_used_twice_is_reported_at_each_later_step() -> None:
    found = problems_in(
        job("steps:\n- {step_id: a, op: call}\n- {step_id: b, op: call}\n" + "- {step_id: a, op: call}\n" * 2)
    )
    assert found == [
        "f:6:13: step id 'a' is used twice (first at line 4); expected each step id once",
        "f:7:13: step id 'a' is used twice (first at line 4); expected each step id once",
    ]


@pytest.mark.parametrize("value", ["null", "3", "[]", "{steps: 5}", "{steps: [5, null, {params: 5, idempotency: 5}]}"])
def test_a_job_of_any_other_shape_is_refused_without_ado(value: str) -> None:
    assert problems_in(value)


def test_what_a_mistake_quotes_is_short() -> None:
    (found,) = problems_in(step(f"on_error: {'x' * 5000}"))
    assert len(found) < 200


def test_problems_found_elsewhere_are_reported_along() -> None:
    other = Problem(found="other", expected="none", location=Location("f", 2, 1))
    found = problems_in(job(f"{STEPS}\nmore: 1"), also=[other])
    assert found[0] == "f:2:1: other; none"
    assert found[1].startswith("f:4:1: unknown key 'more'")
    assert problems_in(job(STEPS), also=[other]) == ["f:2:1: other; none"]


def test_each_problem_has_its_path() -> None:
    with pytest.raises(JobValidationError) as caught:
        validation.validate(JobDef, yaml_source.parse(job("steps:\n- {op: call, if: '', x: 1, workers: a}"), file="f"))
    paths = [problem.path for problem in caught.value.problems]
    assert sorted(map(str, paths)) == sorted(
        map(str, [("steps", 0, "step_id"), ("steps", 0, "if"), ("steps", 0, "x"), ("steps", 0, "workers")])
    )


class Port(Value):
    kind: Literal["port"] = "port"
    number: int = Field(gt=0, lt=65536)


class Socket(Value):
    kind: Literal["socket"] = "socket"
    path: str


class Server(Value):
    """A model with what the definitions do not have, as other files may."""

    listen: Annotated[Port | Socket, Field(discriminator="kind")] | None = None
    either: Port | int | None = None
    pair: tuple[str, int] = ("a", 1)
    limits: dict[Annotated[str, Field(pattern="^[a-z]+$")], Port] = Field(default_factory=dict)
    level: Literal["info", "debug"] = "info"
    short: Annotated[str, Field(min_length=2, max_length=3)] = "abc"
    many: tuple[int, ...] = Field(default=(), max_length=2)
    code: Annotated[str, Field(pattern="^[0-9]+$")] = "1"
    even: int = 2

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("found an odd number")
        return value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("listen: {kind: port, number: 0}", "f:1:30: found the number 0; expected a number above 0"),
        ("listen: {kind: port, numbr: 1, number: 5}", "f:1:22: unknown key 'numbr'; expected one of kind, number"),
        ("listen: {kind: pipe}", "f:1:9: found a mapping; expected "),
        ("either: x", "f:1:9: found the text 'x'; expected a mapping or a whole number"),
        ("either: {numbr: 1}", "f:1:10: unknown key 'numbr'; expected one of kind, number; did you mean 'number'?"),
        ("pair: [a, b]", "f:1:11: found the text 'b'; expected a whole number"),
        ("limits: {a: {number: 70000}}", "f:1:22: found the number 70000; expected a number below 65536"),
        ("limits: {a: {numbr: 1}}", "did you mean 'number'?"),
        ("limits: {a b: {number: 1}}", "f:1:10: found the key 'a b'; expected text that matches ^[a-z]+$"),
        ("level: debg", "f:1:8: found the text 'debg'; expected 'info' or 'debug'; did you mean 'debug'?"),
        ("short: a", "f:1:8: found the text 'a'; expected at least 2 characters"),
        ("many: [1, 2, 3]", "f:1:7: found a list; expected 2 at most in it"),
        ("code: x", "f:1:7: found the text 'x'; expected text that matches ^[0-9]+$"),
        ("even: 3", "f:1:7: found an odd number; expected another value"),
    ],
)
def test_other_models_are_spoken_of_as_well(text: str, problem: str) -> None:
    assert any(problem in found for found in problems_in(text, Server)), problems_in(text, Server)


def test_without_values_nothing_of_the_file_is_quoted_but_its_keys() -> None:
    text = "level: s3cret\nshort: s3cret\ncode: [s3cret]\neven: '123456789'\nmany: 5\npair: {a: s3cret}\neither: true\n"
    found = "\n".join(problems_in(text, Server, show_values=False))
    assert "s3cret" not in found
    assert "123456789" not in found
    assert "f:1:8: found text; expected 'info' or 'debug'" in found
    assert "found a number; expected a list" in found


def test_the_refusal_does_not_carry_pydantics_text_along() -> None:
    with pytest.raises(JobValidationError) as caught:
        validation.validate(Server, yaml_source.parse("level: s3cret", file="f"), show_values=False)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_problems_of_an_error_of_pydantic_are_located() -> None:
    source = yaml_source.parse("level: x\n", file="f")
    with pytest.raises(ValidationError) as caught:
        Server.model_validate(source.value)
    (problem,) = validation.problems_of(caught.value, Server, source)
    assert (problem.path, problem.location) == (("level",), Location("f", 1, 8))


class Client(Value):
    server: Server
    extra: Any = None
    headers: dict[str, str] = Field(default_factory=dict)


def test_a_missing_part_is_named_by_what_it_is() -> None:
    assert problems_in("{}", Client) == ["f:1:1: the key 'server' is missing; expected `server:` with a mapping"]


def test_a_value_that_is_not_in_the_file_is_told_as_pydantic_saw_it() -> None:
    source = yaml_source.parse("{}", file="f")
    with pytest.raises(ValidationError) as caught:
        Client.model_validate({"server": {}, "headers": {"a": 5}})
    (problem,) = validation.problems_of(caught.value, Client, source)
    assert str(problem) == "f:1:1: found the number 5; expected a quoted string; did you mean '5'?"


def test_what_is_said_of_a_place_nobody_described_is_little() -> None:
    place = model_place.find(Client, ("extra", "a", 0))
    assert (place.path, place.model, place.choices, place.pattern) == (("extra", "a", 0), None, (), None)


def patterns_in(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for part in schema.values():
            yield from patterns_in(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from patterns_in(part)


@pytest.mark.parametrize("model", [JobDef, PipelineDef, Envelope])
def test_every_pattern_of_our_models_has_words(model: type[BaseModel]) -> None:
    found = set(patterns_in(model.model_json_schema()))
    assert found
    assert found <= validation_words.PATTERNS.keys()


NAMES = "job_id version steps step_id op params if retry idempotency semantic_key_ref scope tags timeout_s jitter x 1"
KEYS = st.sampled_from(["", *NAMES.split()])
SCALARS = st.sampled_from(["2.0", "call", "@ctx.a", "@run.x", "a", "", "semantic"]) | st.integers(-5, 5) | st.none()
SHAPES = st.recursive(
    SCALARS | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)
STEP_LISTS = st.lists(st.dictionaries(KEYS, SHAPES, max_size=8) | SHAPES, max_size=4)
JOBS = st.fixed_dictionaries({}, optional={"job_id": SHAPES, "version": SHAPES, "steps": STEP_LISTS, "retry": SHAPES})


@given(SHAPES | JOBS)
def test_whatever_a_file_holds_it_is_a_job_or_is_refused_with_places(value: Any) -> None:
    source = yaml_source.parse(json.dumps(value), file="f")
    try:
        validation.validate(JobDef, source)
    except JobValidationError as error:
        mistakes = error.problems
    else:
        return
    assert all(problem.location and problem.found and problem.expected for problem in mistakes)
    assert not re.search(r"pydantic|Input should|Value error", "\n".join(map(str, mistakes)))


def test_the_model_of_each_schema_refuses_what_is_no_mapping() -> None:
    for name in ("job", "pipeline"):
        assert problems_in("[]", json_schemas.SCHEMAS[name]()) == ["f:1:1: found an empty list; expected a mapping"]
