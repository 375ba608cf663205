from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra import compiler
from lorchestra.clock import FixedClock
from lorchestra.compiler import compile_job
from lorchestra.compiler.outputs import SHAPES
from lorchestra.errors import CompileError, EnvelopeError, Path, Problem
from lorchestra.json_value import thaw
from lorchestra.schemas import JobDef, JobInstance, Op, RetryPolicy

SECRET = "canary-93c0"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

FETCH: dict[str, Any] = {"step_id": "fetch", "op": "call", "params": {"callable": "injest"}}
PERSIST: dict[str, Any] = {"step_id": "persist", "op": "plan.build", "params": {"items": "@run.fetch.items"}}
WRITE: dict[str, Any] = {"step_id": "write", "op": "storacle.submit", "params": {"plan": "@run.persist.plan"}}


def a_step(op: str, params: Mapping[str, Any], step_id: str = "last", /, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "op": op, "params": params, **more}


def job(*steps: Mapping[str, Any], **more: Any) -> JobDef:
    return JobDef.model_validate({"job_id": "a_job", "version": "2.0", "steps": steps, **more})


def compiled(
    *steps: Mapping[str, Any],
    ctx: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    **more: Any,
) -> JobInstance:
    return compile_job(job(*steps, **more), ctx, payload, clock=FixedClock(NOON))


def problems_of(
    *steps: Mapping[str, Any], ctx: Mapping[str, Any] | None = None, payload: Mapping[str, Any] | None = None
) -> tuple[Problem, ...]:
    with pytest.raises(CompileError) as caught:
        compiled(*steps, ctx=ctx, payload=payload)
    return caught.value.problems


def problem_of(*steps: Mapping[str, Any], payload: Mapping[str, Any] | None = None) -> Problem:
    (problem,) = problems_of(*steps, payload=payload)
    return problem


def test_the_usual_three_steps_compile() -> None:
    instance = compiled(FETCH, PERSIST, WRITE, tags=["daily"])
    assert [step.step_id for step in instance.steps] == ["fetch", "persist", "write"]
    assert (instance.job_id, instance.job_version, instance.tags) == ("a_job", "2.0", ("daily",))
    assert instance.compiled_at == NOON
    assert instance.job_def_sha256 == job(FETCH, PERSIST, WRITE, tags=["daily"]).sha256()


def test_params_hold_values_and_the_template_holds_what_the_author_wrote() -> None:
    params = {"callable": "c", "who": "@payload.who", "env": ["@ctx.env"], "at": "@@home"}
    step = compiled(a_step("call", params), ctx={"env": 1}, payload={"who": SECRET}).steps[0]
    assert thaw(step.params) == {"callable": "c", "who": SECRET, "env": [1], "at": "@@home"}
    assert thaw(step.template) == params


def test_a_payload_cannot_bring_in_a_reference() -> None:
    params = {"callable": "c", "x": "@payload.x"}
    step = compiled(a_step("call", params), payload={"x": ["@run.fetch.items", {"k": "@payload.x"}]}).steps[0]
    assert thaw(step.params)["x"] == ["@@run.fetch.items", {"k": "@@payload.x"}]


def test_the_system_clock_is_used_when_none_is_given() -> None:
    assert compile_job(job(FETCH)).compiled_at.tzinfo is UTC


NAMED: dict[str, Any] = {"a": 1, "b": ["@ctx"], "c": {"k": None, "j": 2.5}, "d": "é"}


@given(st.permutations(list(NAMED)), st.permutations(list(NAMED)))
def test_the_same_input_gives_the_same_bytes_whatever_the_order_of_keys(params: list[str], payload: list[str]) -> None:
    def in_order(names: list[str], given: list[str]) -> bytes:
        step = a_step("call", {"callable": "c", **{name: f"@payload.{name}" for name in names}})
        return compiled(step, payload={name: NAMED[name] for name in given}).to_json_bytes()

    assert in_order(params, payload) == in_order(list(NAMED), list(NAMED))


def test_another_process_gives_the_same_bytes() -> None:
    code = f"""
import sys
from datetime import datetime
from lorchestra.clock import FixedClock
from lorchestra.compiler import compile_job
from lorchestra.schemas import JobDef
definition = JobDef.model_validate({{"job_id": "a_job", "version": "2.0", "steps": {[FETCH, PERSIST, WRITE]!r}}})
instance = compile_job(definition, clock=FixedClock(datetime.fromisoformat({NOON.isoformat()!r})))
sys.stdout.buffer.write(instance.to_json_bytes())
"""
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "1"}, capture_output=True, check=True)
    assert run.stdout == compiled(FETCH, PERSIST, WRITE).to_json_bytes()


def test_a_job_retry_holds_for_steps_without_their_own() -> None:
    own = {**FETCH, "step_id": "own", "retry": {"max_retries": 1}}
    inherited, kept = compiled(FETCH, own, retry={"max_retries": 5}).steps
    assert inherited.retry == RetryPolicy(max_retries=5)
    assert kept.retry == RetryPolicy(max_retries=1)
    assert compiled(FETCH).steps[0].retry is None


# Conditions and skipped steps


@pytest.mark.parametrize(("condition", "skipped"), [("@payload.go", True), ("not @payload.go", False), (False, True)])
def test_conditions_are_decided(condition: str | bool, skipped: bool) -> None:
    step = compiled({**FETCH, "if": condition}, payload={"go": False}).steps[0]
    assert step.compiled_skip is skipped


def test_a_skipped_step_does_not_need_what_it_names() -> None:
    params = {"callable": "c", "x": "@payload.missing"}
    idempotency = {"scope": "semantic", "semantic_key_ref": "@payload.missing"}
    skipped = {**a_step("call", params), "if": False, "idempotency": idempotency}
    step = compiled(skipped).steps[0]
    assert (step.compiled_skip, thaw(step.params), thaw(step.template)) == (True, {}, params)
    assert step.semantic_key is None


def test_a_skipped_step_still_has_to_be_well_formed() -> None:
    skipped = {**a_step("plan.build", {"items": "@run.nowhere.items", "tabel": "t"}), "if": False}
    assert {problem.path[-1] for problem in problems_of(skipped)} == {"items", "tabel"}


def test_a_condition_that_cannot_be_decided_is_reported_once() -> None:
    problem = problem_of({**a_step("call", {"callable": "c", "x": "@payload.gone"}), "if": "@payload.go"})
    assert problem.path == ("steps", 0, "if")


def test_a_malformed_condition_is_placed() -> None:
    problem = problem_of({**FETCH, "if": "@payload.go = 1"})
    assert (problem.path, problem.hint) == (("steps", 0, "if"), "did you mean '=='?")


def test_a_reference_to_a_skipped_step_is_refused_unless_the_step_is_skipped_as_well() -> None:
    off = {**FETCH, "if": False}
    problem = problem_of(off, PERSIST)
    assert problem.found == "'@run.fetch.items' names step 'fetch', which its `if` skips"
    assert all(step.compiled_skip for step in compiled(off, {**PERSIST, "if": False}).steps)


# References to steps


@pytest.mark.parametrize(
    ("ref", "found", "expected", "hint"),
    [
        ("@run.fetc.stats", "names no step", "expected an earlier step (known: fetch)", "did you mean 'fetch'?"),
        ("@run.zebra.stats", "names no step", "expected an earlier step (known: fetch)", None),
        ("@run.middle.stats", "names its own step", "expected an earlier step (known: fetch)", None),
        ("@run.after.stats", "names a later step", "expected an earlier step (known: fetch)", None),
        (
            "@run.fetch.stat",
            "names no output of step 'fetch'",
            "a call step yields items, schema_version, stats",
            "did you mean 'stats'?",
        ),
    ],
)
def test_references_that_name_nothing(ref: str, found: str, expected: str, hint: str | None) -> None:
    problem = problem_of(
        FETCH, a_step("call", {"callable": "c", "deep": [{"x": ref}]}, "middle"), {**FETCH, "step_id": "after"}
    )
    assert problem.path == ("steps", 1, "params", "deep", 0, "x")
    assert problem.found == f"'{ref}' {found}"
    assert (problem.expected, problem.hint) == (expected, hint)


def test_the_first_step_has_no_earlier_one() -> None:
    problem = problem_of(a_step("call", {"callable": "c", "x": "@run.any.stats"}))
    assert problem.expected == "expected an earlier step, and this is the first"


def test_many_known_steps_are_not_all_listed() -> None:
    steps = [{**FETCH, "step_id": f"s{number}"} for number in range(50)]
    problem = problem_of(*steps, a_step("call", {"callable": "c", "x": "@run.other.stats"}))
    assert len(problem.expected) < 120


@pytest.mark.parametrize("op", list(Op))
def test_each_value_output_of_each_op_can_be_named(op: Op) -> None:
    params: dict[Op, dict[str, Any]] = {
        Op.CALL: {"callable": "c"},
        Op.PLAN_BUILD: {"items": []},
        Op.STORACLE_SUBMIT: {"plan": "@run.persist.plan"},
        Op.COMPUTE_LLM: {"prompt": "p"},
        Op.JOB_RUN: {"job_id": "child"},
    }
    names = {f"p{n}": f"@run.last.{value}.x" for n, value in enumerate(sorted(SHAPES[op].values))}
    compiled(FETCH, PERSIST, a_step(op, params[op]), a_step("call", {"callable": "c", **names}, "after"))


# Streams


@pytest.mark.parametrize(
    ("op", "params", "found"),
    [
        ("call", {"callable": "c", "rows": "@run.fetch.items"}, "'@run.fetch.items' is a stream"),
        ("call", {"callable": "c", "items": ["@run.fetch.items"]}, "'@run.fetch.items' is a stream"),
        ("call", {"callable": "c", "items": "@run.fetch.items[0]"}, "'@run.fetch.items[0]' names a part of a stream"),
        ("call", {"callable": "c", "items": "@run.persist.plan"}, "'@run.persist.plan' is a stream"),
        ("call", {"callable": "c", "items": "@run.fetch.stats"}, "'@run.fetch.stats' is no stream"),
        ("plan.build", {"items": "@run.persist.plan"}, "'@run.persist.plan' is a stream"),
        ("plan.build", {"items": "@run.fetch.schema_version"}, "'@run.fetch.schema_version' is no stream"),
        ("storacle.submit", {"plan": "@run.fetch.items"}, "'@run.fetch.items' is a stream"),
        ("storacle.submit", {"plan": "@run.fetch.stats"}, "'@run.fetch.stats' is no stream"),
        ("storacle.submit", {"plan": {"ops": []}}, "'plan' is no stream"),
        ("storacle.submit", {"plan": "@payload.plan"}, "'plan' is no stream"),
        ("job.run", {"job_id": "j", "payload": {"rows": "@run.fetch.items"}}, "'@run.fetch.items' is a stream"),
        ("compute.llm", {"prompt": "@run.fetch.items"}, "'@run.fetch.items' is a stream"),
    ],
)
def test_a_stream_stands_where_it_may_and_only_a_stream_does(op: str, params: Mapping[str, Any], found: str) -> None:
    problem = problem_of(FETCH, PERSIST, a_step(op, params), payload={"plan": {}})
    assert problem.found == found
    assert "@run." in problem.expected or "items" in problem.expected or "plan" in problem.expected


def test_what_is_possible_with_a_stream_is_said() -> None:
    problem = problem_of(FETCH, a_step("job.run", {"job_id": "j", "payload": {"rows": "@run.fetch.items"}}))
    assert problem.expected == "it can only be the 'items' of a call step or the 'items' of a plan.build step, whole"


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ("@payload.rows", None),
        ([{"id": "@run.fetch.stats.n"}], None),
        ("@payload.one", "'items' is an object of 1 key"),
        ("@payload.text", "'items' is a text"),
        ("rows", "'items' is a text"),
        (None, "'items' is null"),
    ],
)
def test_items_may_be_spelt_out_as_a_list(items: object, found: str | None) -> None:
    payload = {"rows": [{"id": 1}], "one": {"id": 1}, "text": SECRET}
    for step in (a_step("plan.build", {"items": items}), a_step("call", {"callable": "c", "items": items})):
        if found is None:
            compiled(FETCH, step, payload=payload)
        else:
            problem = problem_of(FETCH, step, payload=payload)
            assert (problem.found, problem.path) == (found, ("steps", 1, "params", "items"))
            assert SECRET not in str(problem)


def test_a_plan_is_submitted_once() -> None:
    problem = problem_of(FETCH, PERSIST, WRITE, {**WRITE, "step_id": "again"})
    assert problem.found == "'@run.persist.plan' is already submitted by step 'write'"
    assert problem.path == ("steps", 3, "params", "plan")


def test_a_plan_may_have_two_submits_of_which_one_is_skipped() -> None:
    compiled(FETCH, PERSIST, {**WRITE, "if": "@ctx.a"}, {**WRITE, "step_id": "b", "if": "not @ctx.a"}, ctx={"a": True})


# Params


@pytest.mark.parametrize(
    ("op", "params", "path", "found"),
    [
        ("call", {}, (), "step 'last' has no 'callable'"),
        ("call", {"callable": "@payload.name"}, ("callable",), "'callable' is a reference"),
        ("call", {"callable": ["c"]}, ("callable",), "'callable' is a list"),
        ("call", {"callable": {"c": 1}}, ("callable",), "'callable' is an object"),
        ("call", {"callable": 3}, ("callable",), "'callable' is a number"),
        ("call", {"callable": ""}, ("callable",), "'callable' is empty"),
        ("call", {"callable": "@@c"}, ("callable",), "'callable' is a text that begins with '@'"),
        ("plan.build", {"method": "wal.append"}, (), "step 'last' has no 'items'"),
        ("plan.build", {"items": [], "method": "@payload.name"}, ("method",), "'method' is a reference"),
        ("plan.build", {"items": [], "tabel": "t"}, ("tabel",), "a plan.build step has no param 'tabel'"),
        ("storacle.submit", {}, (), "step 'last' has no 'plan'"),
        ("job.run", {"version": "2.0"}, (), "step 'last' has no 'job_id'"),
        ("job.run", {"job_id": "@payload.name"}, ("job_id",), "'job_id' is a reference"),
        ("job.run", {"job_id": "j", "payloads": {}}, ("payloads",), "a job.run step has no param 'payloads'"),
        ("compute.llm", {"model": "m"}, (), "step 'last' has no 'messages' or 'prompt'"),
        ("compute.llm", {"prompt": "p", "max_token": 1}, ("max_token",), "a compute.llm step has no param 'max_token'"),
    ],
)
def test_params_of_each_op(op: str, params: Mapping[str, Any], path: Path, found: str) -> None:
    problem = problem_of(a_step(op, params), payload={"name": "c"})
    assert (problem.path, problem.found) == (("steps", 0, "params", *path), found)


def test_an_unknown_param_comes_with_the_nearest_known_one() -> None:
    assert problem_of(a_step("plan.build", {"items": [], "tabel": "t"})).hint == "did you mean 'table'?"


def test_a_call_takes_any_param() -> None:
    compiled(a_step("call", {"callable": "c", "whatever": {"it": "likes"}}))


# Semantic keys


def keyed(ref: str | None, scope: str = "semantic") -> dict[str, Any]:
    return {**FETCH, "idempotency": {"scope": scope, "semantic_key_ref": ref}}


@pytest.mark.parametrize(
    ("value", "key"), [("a", '"a"'), (1, "1"), ("1", '"1"'), (True, "true"), (1.5, "1.5"), ("é", '"é"'), ("@x", '"@x"')]
)
@pytest.mark.parametrize("scope", ["semantic", "explicit"])
def test_a_semantic_key_is_the_canonical_text_of_a_scalar(value: object, key: str, scope: str) -> None:
    assert compiled(keyed("@payload.k", scope), payload={"k": value}).steps[0].semantic_key == key


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (keyed(None), "scope 'semantic' has no 'semantic_key_ref'"),
        (keyed(None, "explicit"), "scope 'explicit' has no 'semantic_key_ref'"),
        (keyed("@payload.k", "run"), "scope 'run' has a 'semantic_key_ref', which it does not use"),
        (keyed("@payload.missing"), "'@payload.missing' does not exist"),
        (keyed("@payload.none"), "'@payload.none' is null"),
        (keyed("@payload.list"), "'@payload.list' is a list of 1 item"),
        (keyed("@payload"), "'@payload' is an object of 3 keys"),
        (keyed("k"), "'k' names no key"),
        (keyed("@run.fetch.stats"), "'@run.fetch.stats' names no key"),
        (keyed("@paylod.k"), "'@paylod' begins no reference"),
    ],
)
def test_semantic_keys_that_cannot_be(step: Mapping[str, Any], found: str) -> None:
    problem = problem_of(step, payload={"none": None, "list": [SECRET], "k": 1})
    assert problem.found == found
    assert problem.path[:3] == ("steps", 0, "idempotency")


# All at once, and in private


def test_all_mistakes_of_all_steps_are_reported_in_their_order() -> None:
    problems = problems_of(
        a_step("call", {"x": "@payload.gone", "y": "@run.nobody.stats"}, "one"),
        a_step("plan.build", {"items": "@run.one.item", "tabel": "t", "table": "@paylod.t"}, "two"),
        {**WRITE, "if": "@ctx.go ==", "params": {"plan": "@run.two.plan"}},
        keyed(None),
    )
    assert [problem.path[1] for problem in problems] == [0, 0, 0, 1, 1, 1, 2, 3]
    assert {problem.path[2:] for problem in problems if problem.path[1] == 1} == {
        ("params", "items"),
        ("params", "tabel"),
        ("params", "table"),
    }


@pytest.mark.parametrize(
    ("ctx", "payload", "expected"),
    [
        ([1], None, [(("ctx",), "the ctx is a list of 1 item")]),
        (None, "text", [(("payload",), "the payload is a text")]),
        (
            None,
            {"a": {SECRET: [1]}, "b": [date(2024, 1, 1)]},
            [(("payload", "<key 2>", 0), "a value of type date is not JSON")],
        ),
        (
            {SECRET: math.nan},
            {SECRET: {SECRET: 1 << 70}},
            [(("ctx", "<key 1>"), "finite"), (("payload", "<key 1>", "<key 1>"), "64 bits")],
        ),
        (None, {SECRET: {7: 1}}, [(("payload", "<key 1>"), "a key of type int is not JSON")]),
    ],
)
def test_ctx_and_payload_are_json_objects(ctx: Any, payload: Any, expected: list[tuple[Path, str]]) -> None:
    with pytest.raises(EnvelopeError) as caught:
        compile_job(job(FETCH), ctx, payload)
    assert len(caught.value.problems) == len(expected)
    for problem, (path, found) in zip(caught.value.problems, expected, strict=True):
        assert problem.path == path
        assert found in problem.found
    assert SECRET not in str(caught.value)


values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([SECRET, None, True, 771_771]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([SECRET, "a", "b"]), inner, max_size=3)
    ),
    max_leaves=6,
)
refs = st.sampled_from(["@payload", "@payload.a", "@payload.a.b", "@payload.b[0]", "@ctx.a", "@ctx.a[1].b", "@ctx"])


@given(
    values.filter(lambda value: isinstance(value, dict)),
    st.lists(refs, min_size=1, max_size=4),
    st.sampled_from(["", " == 1", " < 1", " and true"]),
)
def test_no_error_shows_a_key_or_value_of_the_payload(payload: Any, texts: list[str], comparison: str) -> None:
    steps = [
        a_step(
            "plan.build",
            {"items": text, "table": text},
            f"s{number}",
            **{"if": text + comparison} if number % 2 else {},
            idempotency={"scope": "semantic", "semantic_key_ref": text},
        )
        for number, text in enumerate(texts)
    ]
    try:
        compiled(*steps, ctx=payload, payload=payload)
    except CompileError as error:
        message = str(error)
    else:
        return
    assert SECRET not in message
    assert "771771" not in message


def test_a_plan_that_could_never_be_built_is_a_mistake_of_the_definition() -> None:
    plan = {"items": "@run.fetch.items", "method": "table.upsert", "dataset": "raw", "batch_size": 0}
    steps = [
        {"step_id": "fetch", "op": "call", "params": {"callable": "x"}},
        {"step_id": "persist", "op": "plan.build", "params": plan},
    ]
    definition = JobDef.model_validate({"job_id": "a", "version": "2.0", "steps": steps})
    with pytest.raises(CompileError) as caught:
        compile_job(definition)
    found = {problem.found: problem.path for problem in caught.value.problems}
    at = ("steps", 1, "params")
    assert found == {
        "'table' is missing": (*at, "table"),
        "'key_columns' is missing": (*at, "key_columns"),
        "'batch_size' is 0": (*at, "batch_size"),
    }
    assert compiler.problems_of(definition) == caught.value.problems


def test_the_mistakes_of_a_definition_are_known_without_ctx_and_payload() -> None:
    steps = [
        {"step_id": "fetch", "op": "call", "params": {"callable": "x", "of": "@payload.missing"}},
        {"step_id": "use", "op": "call", "if": "@ctx.missing", "params": {"callable": "x", "n": "@run.fech.stats"}},
        {"step_id": "off", "op": "call", "if": False, "params": {"callable": "x"}},
        {"step_id": "of_off", "op": "call", "params": {"callable": "x", "n": "@run.off.stats"}},
    ]
    found = compiler.problems_of(JobDef.model_validate({"job_id": "a", "version": "2.0", "steps": steps}))
    assert [problem.path[:2] for problem in found] == [("steps", 1), ("steps", 3)]
    assert "did you mean 'fetch'?" in str(found[0])
    assert "which its `if` skips" in str(found[1])
