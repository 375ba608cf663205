"""Whether the `@run` references of a job hold: each names an output of an earlier step, and stands where it may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorchestra.compiler.outputs import SHAPES, places_of, stream_of
from lorchestra.errors import Path, Problem, did_you_mean
from lorchestra.language.references import Node, RunRef, run_refs
from lorchestra.schemas import Op, StepDef

_KNOWN_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedStep:
    """A step with its params parsed; `runs` is None when its condition could not be decided."""

    index: int
    definition: StepDef
    params: Mapping[str, Node]
    runs: bool | None


def problems_of(steps: Sequence[CheckedStep]) -> Iterator[Problem]:
    by_id = {step.definition.step_id: step for step in steps}
    submitted: dict[str, str] = {}
    for step in steps:
        for name, node in step.params.items():
            for path, ref in run_refs(node):
                place = ("steps", step.index, "params", name, *path)
                problem = _target_problem(step, ref, by_id, place) or _stream_problem(
                    step, ref, by_id[ref.step], place, is_whole_param=not path
                )
                if problem is not None:
                    yield problem
                elif step.definition.op is Op.STORACLE_SUBMIT and step.runs:
                    first = submitted.setdefault(ref.step, step.definition.step_id)
                    if first != step.definition.step_id:
                        yield Problem(
                            found=f"'{ref}' is already submitted by step '{first}'",
                            expected="expected each plan to be submitted once",
                            path=place,
                        )


def _target_problem(step: CheckedStep, ref: RunRef, by_id: Mapping[str, CheckedStep], place: Path) -> Problem | None:
    target = by_id.get(ref.step)
    if target is None or target.index >= step.index:
        earlier = [step_id for step_id, other in by_id.items() if other.index < step.index]
        return Problem(
            found=f"'{ref}' names {_relation(step, target)}",
            expected=_expected_earlier(earlier),
            hint=did_you_mean(ref.step, earlier),
            path=place,
        )
    if step.runs and target.runs is False:
        return Problem(
            found=f"'{ref}' names step '{ref.step}', which its `if` skips",
            expected="expected a step that runs, or an `if` that skips this step as well",
            path=place,
        )
    outputs = SHAPES[target.definition.op].outputs
    output = str(ref.path[0])
    if output not in outputs:
        return Problem(
            found=f"'{ref}' names no output of step '{ref.step}'",
            expected=f"a {target.definition.op} step yields {', '.join(outputs)}",
            hint=did_you_mean(output, outputs),
            path=place,
        )
    return None


def _relation(step: CheckedStep, target: CheckedStep | None) -> str:
    if target is None:
        return "no step"
    return "its own step" if target.index == step.index else "a later step"


def _expected_earlier(earlier: Sequence[str]) -> str:
    if not earlier:
        return "expected an earlier step, and this is the first"
    shown = ", ".join(earlier[-_KNOWN_SHOWN:])
    return f"expected an earlier step (known: {'..., ' if len(earlier) > _KNOWN_SHOWN else ''}{shown})"


def _stream_problem(
    step: CheckedStep, ref: RunRef, target: CheckedStep, place: Path, *, is_whole_param: bool
) -> Problem | None:
    takes = SHAPES[step.definition.op].takes
    takes_here = takes is not None and is_whole_param and place[3] == takes.name
    if ref.path[0] != SHAPES[target.definition.op].stream:
        if not takes_here or takes is None:
            return None
        return Problem(
            found=f"'{ref}' is no stream",
            expected=f"'{takes.name}' takes {stream_of(takes.producer)}",
            path=place,
        )
    if len(ref.path) > 1:
        return Problem(
            found=f"'{ref}' names a part of a stream",
            expected=f"a stream has no parts: expected '{RunRef(ref.step, ref.path[:1])}', "
            f"as {places_of(target.definition.op)}",
            path=place,
        )
    if takes_here and takes is not None and takes.producer is target.definition.op:
        return None
    return Problem(
        found=f"'{ref}' is a stream",
        expected=f"it can only be {places_of(target.definition.op)}, whole",
        path=place,
    )
