from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.compiler import compile_job
from lorchestra.compiler.outputs import SHAPES
from lorchestra.compiler.segments import StreamInput, plan_segments
from lorchestra.language import references
from lorchestra.schemas import JobDef, JobInstance, Op


def instance_of(*steps: dict[str, Any]) -> JobInstance:
    return compile_job(JobDef.model_validate({"job_id": "a_job", "version": "2.0", "steps": steps}))


def call(step_id: str, items_of: str | None = None, **params: Any) -> dict[str, Any]:
    params = {"callable": "c", **params, **({"items": f"@run.{items_of}.items"} if items_of else {})}
    return {"step_id": step_id, "op": "call", "params": params}


def plan(step_id: str, items_of: str, **params: Any) -> dict[str, Any]:
    return {"step_id": step_id, "op": "plan.build", "params": {"items": f"@run.{items_of}.items", **params}}


def submit(step_id: str, plan_of: str) -> dict[str, Any]:
    return {"step_id": step_id, "op": "storacle.submit", "params": {"plan": f"@run.{plan_of}.plan"}}


def llm(step_id: str, prompt: str = "p") -> dict[str, Any]:
    return {"step_id": step_id, "op": "compute.llm", "params": {"prompt": prompt}}


def skipped(step: dict[str, Any]) -> dict[str, Any]:
    return {**step, "if": False}


def shown(*steps: dict[str, Any]) -> list[str]:
    """Each segment as its steps, with a star where it is spilled."""
    return [
        " ".join(segment.steps) + ("*" if segment.spilled else "")
        for segment in plan_segments(instance_of(*steps)).segments
    ]


@pytest.mark.parametrize(
    ("steps", "segments"),
    [
        pytest.param([call("a"), plan("p", "a"), submit("s", "p")], ["a p s"], id="the usual three steps"),
        pytest.param(
            [call("a"), call("b", "a"), plan("p", "b"), submit("s", "p")], ["a b p s"], id="a call fed by a call"
        ),
        pytest.param(
            [call("a"), plan("p", "a"), submit("s", "p"), plan("q", "a"), submit("t", "q")],
            ["a*", "p s", "q t"],
            id="two tables from the same items",
        ),
        pytest.param(
            [call("a"), plan("p", "a"), plan("q", "a"), submit("s", "p"), submit("t", "q")],
            ["a*", "p s", "q t"],
            id="two tables, plans first",
        ),
        pytest.param(
            [call("a"), plan("p", "a"), submit("s", "p"), call("b"), plan("q", "b"), submit("t", "q")],
            ["a p s", "b q t"],
            id="two chains, one after the other",
        ),
        pytest.param(
            [call("a"), call("b"), plan("p", "a"), submit("s", "p"), plan("q", "b"), submit("t", "q")],
            ["a*", "b*", "p s", "q t"],
            id="two calls before anything is written keep their order",
        ),
        pytest.param([call("a"), llm("x"), call("b")], ["a", "x", "b"], id="steps without streams"),
        pytest.param([call("a")], ["a"], id="items nobody takes"),
        pytest.param([call("a"), plan("p", "a")], ["a p"], id="a plan nobody submits"),
        pytest.param(
            [call("a"), llm("x"), plan("p", "a"), submit("s", "p")],
            ["a*", "x", "p s"],
            id="a call is not moved past another step",
        ),
        pytest.param(
            [call("a"), plan("p", "a"), llm("x"), submit("s", "p")],
            ["a*", "x", "p s"],
            id="a plan is built where it is submitted, and the call stays where it is",
        ),
        pytest.param(
            [call("a"), skipped(llm("x")), plan("p", "a"), submit("s", "p")],
            ["a p s"],
            id="a skipped step is in nobody's way",
        ),
        pytest.param(
            [call("a"), plan("p", "a"), submit("s", "p"), skipped(plan("q", "a")), skipped(submit("t", "q"))],
            ["a p s"],
            id="a skipped consumer is none",
        ),
        pytest.param(
            [call("a"), plan("p", "a", batch_size="@run.a.stats.n"), submit("s", "p")],
            ["a*", "p s"],
            id="a consumer that names a value of its producer",
        ),
        pytest.param(
            [call("a"), call("b", "a"), plan("p", "b", batch_size="@run.a.stats.n"), submit("s", "p")],
            ["a b*", "p s"],
            id="a step that names a value from further up its chain",
        ),
        pytest.param(
            [call("a"), plan("p", "a"), submit("s", "p"), llm("x", "@run.a.schema_version")],
            ["a p s", "x"],
            id="a later step names a value",
        ),
        pytest.param(
            [call("a"), plan("p", "a"), llm("x", "@run.a.schema_version"), submit("s", "p")],
            ["a*", "x", "p s"],
            id="a step in between names a value",
        ),
        pytest.param(
            [call("a"), call("b", "a"), call("c", "a"), plan("p", "b"), submit("s", "p")],
            ["a*", "b*", "c", "p s"],
            id="a tree",
        ),
        pytest.param([skipped(call("a"))], [], id="nothing runs"),
    ],
)
def test_segments(steps: list[dict[str, Any]], segments: list[str]) -> None:
    assert shown(*steps) == segments


def test_a_segment_knows_where_each_stream_comes_from() -> None:
    first, second, third = plan_segments(
        instance_of(call("a"), plan("p", "a"), submit("s", "p"), plan("q", "a"), submit("t", "q"))
    ).segments
    assert (first.sink, set(first.spilled)) == ("a", {"a"})
    assert first.inputs["a"] == {}
    assert second.inputs["p"] == {"items": StreamInput("a", joined=False, is_last=False)}
    assert third.inputs["q"] == {"items": StreamInput("a", joined=False)}
    assert second.inputs["s"] == {"plan": StreamInput("p", joined=True)}
    assert (third.sink, third.spilled) == ("t", frozenset())


def test_downstream_is_what_pulls_from_a_step() -> None:
    (segment,) = plan_segments(instance_of(call("a"), plan("p", "a"), submit("s", "p"))).segments
    assert [segment.downstream_of(step) for step in segment.steps] == [("p", "s"), ("s",), ()]


def test_values_are_needed_when_a_step_that_runs_names_them() -> None:
    instance = instance_of(
        call("a"),
        call("b"),
        plan("p", "a"),
        submit("s", "p"),
        llm("x", "@run.b.stats.text"),
        skipped(llm("y", "@run.a.schema_version")),
        llm("z", "@run.s.applied"),
    )
    assert plan_segments(instance).values_named == {"b", "s"}
    assert plan_segments(instance_of(call("a"), plan("p", "a"), submit("s", "p"))).values_named == frozenset()


@st.composite
def jobs(draw: st.DrawFn) -> JobInstance:
    """Any job that compiles: each step takes what earlier steps that run yield."""
    steps: list[dict[str, Any]] = []
    calls: list[str] = []
    plans: list[str] = []
    valued: list[str] = []
    for number in range(draw(st.integers(1, 9))):
        step_id = f"s{number}"
        ops = ["call", "compute.llm", *(["call_items", "plan.build"] if calls else []), *(["submit"] * 2 * bool(plans))]
        kind = draw(st.sampled_from(ops))
        is_skipped = draw(st.integers(0, 5)) == 0
        names_value = bool(valued) and draw(st.booleans())
        value = f"@run.{draw(st.sampled_from(valued))}" if names_value else None
        if kind == "submit":
            source = draw(st.sampled_from(plans))
            step = submit(step_id, source)
            if not is_skipped:
                plans.remove(source)
        elif kind == "plan.build":
            step = plan(step_id, draw(st.sampled_from(calls)), **({"table": value} if value else {}))
        elif kind == "compute.llm":
            step = llm(step_id, value or "p")
        else:
            step = call(step_id, draw(st.sampled_from(calls)) if kind == "call_items" else None, x=value)
        steps.append(skipped(step) if is_skipped else step)
        if is_skipped:
            continue
        if step["op"] == "call":
            calls.append(step_id)
        elif step["op"] == "plan.build":
            plans.append(step_id)
        if values := sorted(SHAPES[Op(step["op"])].values):
            valued.append(f"{step_id}.{values[0]}")
    return instance_of(*steps)


@given(jobs())
def test_every_step_that_runs_is_in_one_segment(instance: JobInstance) -> None:
    placed = [step_id for segment in plan_segments(instance).segments for step_id in segment.steps]
    assert sorted(placed) == sorted(step.step_id for step in instance.steps if not step.compiled_skip)


@given(jobs())
def test_every_reference_is_satisfied_before_or_within_the_segment(instance: JobInstance) -> None:
    steps = {step.step_id: step for step in instance.steps}
    done: set[str] = set()
    spilled: set[str] = set()
    for segment in plan_segments(instance).segments:
        for position, step_id in enumerate(segment.steps):
            streams = segment.inputs[step_id]
            for path, ref in references.run_refs(references.parse(steps[step_id].params)):
                source = streams.get(str(path[0])) if len(path) == 1 else None
                if source is None:
                    assert ref.step in done, "a value exists once its segment is over"
                elif source.joined:
                    assert segment.steps[position - 1] == source.producer == ref.step
                else:
                    assert source.producer == ref.step
                    assert ref.step in spilled
        done.update(segment.steps)
        spilled |= segment.spilled


@given(jobs())
def test_effects_keep_the_order_of_the_definition(instance: JobInstance) -> None:
    with_effects = [step.step_id for step in instance.steps if not step.compiled_skip and step.op is not Op.PLAN_BUILD]
    placed = [
        step_id for segment in plan_segments(instance).segments for step_id in segment.steps if step_id in with_effects
    ]
    assert placed == with_effects


@given(jobs())
def test_only_items_that_some_later_segment_takes_are_spilled(instance: JobInstance) -> None:
    ops = {step.step_id: step.op for step in instance.steps}
    segments = plan_segments(instance).segments
    taken = {
        source.producer
        for segment in segments
        for inputs in segment.inputs.values()
        for source in inputs.values()
        if not source.joined
    }
    assert frozenset().union(*(segment.spilled for segment in segments)) == taken
    assert all(segment.spilled <= {segment.sink} for segment in segments)
    assert all(ops[step_id] is Op.CALL for step_id in taken)


@given(jobs())
def test_an_instance_read_back_has_the_same_segments(instance: JobInstance) -> None:
    assert plan_segments(instance) == plan_segments(JobInstance.model_validate_json(instance.to_json_bytes()))
