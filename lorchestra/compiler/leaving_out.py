"""A definition without some of its steps: a request may say which are not to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lorchestra.errors import EnvelopeError, Problem, did_you_mean
from lorchestra.json_value import freeze
from lorchestra.schemas import JobDef, Op, StepDef


@dataclass(slots=True)
class _Left:
    whole: bool = False
    parts: list[str] = field(default_factory=list)
    """Of the job that the step runs."""


def leave_out(job_def: JobDef, names: Iterable[str]) -> JobDef:
    """The definition with these steps skipped; `<step>.<step of its job>` is passed on to the job that the step runs.

    Raises EnvelopeError for names of no step.
    """
    left: dict[str, _Left] = {}
    for name in names:
        step_id, _, part = name.partition(".")
        mark = left.setdefault(step_id, _Left())
        if part:
            mark.parts.append(part)
        else:
            mark.whole = True
    if not left:
        return job_def
    _require_known(job_def, left)
    steps = tuple(_left_out(step, left[step.step_id]) if step.step_id in left else step for step in job_def.steps)
    return job_def.model_copy(update={"steps": steps})


def _left_out(step: StepDef, left: _Left) -> StepDef:
    if left.whole:
        return step.model_copy(update={"if_": False})
    params: dict[str, Any] = {**step.params, "leave_out": left.parts}
    return step.model_copy(update={"params": freeze(params)})


def _require_known(job_def: JobDef, left: Mapping[str, _Left]) -> None:
    steps = {step.step_id: step for step in job_def.steps}
    problems = []
    for step_id, mark in left.items():
        if step_id not in steps:
            problems.append(
                Problem(
                    found=f"'{step_id}' is to be left out, and is no step of '{job_def.job_id}'",
                    expected=f"known: {', '.join(steps)}",
                    hint=did_you_mean(step_id, steps),
                    path=("leave_out",),
                )
            )
        elif mark.parts and steps[step_id].op is not Op.JOB_RUN:
            problems.append(
                Problem(
                    found=f"'{step_id}.{mark.parts[0]}' is to be left out, and '{step_id}' runs no job",
                    expected="expected a step that runs a job before the dot",
                    path=("leave_out",),
                )
            )
    if problems:
        raise EnvelopeError(*problems)
