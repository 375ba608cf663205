"""What a model cannot say of a job: its references and conditions parse, and its step ids differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from lorchestra.definitions.yaml_scalar import quoted
from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import DefinitionError, Path, Problem
from lorchestra.language import conditions, references

V = TypeVar("V")


def problems_of(source: Source) -> tuple[Problem, ...]:
    """Every such mistake, located. What the model refuses (a list for a mapping) is passed over here."""
    job = source.value
    steps = job.get("steps") if isinstance(job, Mapping) else None
    if not isinstance(steps, list):
        return ()
    found = [problem for index, step in enumerate(steps) for problem in _in_step(step, ("steps", index))]
    return tuple(problem.at(source.locate(problem.path)) for problem in (*found, *_same_ids(steps, source)))


def _in_step(step: object, path: Path) -> Iterator[Problem]:
    if not isinstance(step, Mapping):
        return
    if isinstance(params := step.get("params"), Mapping):
        yield from _refusals(references.parse, params, (*path, "params"))
    if isinstance(condition := step.get("if"), str):
        yield from _refusals(conditions.parse, condition, (*path, "if"))
    if isinstance(idempotency := step.get("idempotency"), Mapping):
        yield from _in_idempotency(idempotency, (*path, "idempotency"))


def _in_idempotency(idempotency: Mapping[str, object], path: Path) -> Iterator[Problem]:
    scope, key = idempotency.get("scope", "run"), idempotency.get("semantic_key_ref")
    if isinstance(key, str):
        yield from _refusals(_static_reference, key, (*path, "semantic_key_ref"))
    elif key is None and scope in ("semantic", "explicit"):
        yield Problem(
            found=f"the scope '{scope}' without a key",
            expected="expected `semantic_key_ref:` with a @ctx or @payload reference",
            path=path,
        )


def _static_reference(text: str) -> None:
    if not isinstance(references.parse(text), (references.CtxRef, references.PayloadRef)):
        raise DefinitionError(
            Problem(found=f"found the text {quoted(text)}", expected="expected a @ctx or @payload reference")
        )


def _refusals(parse: Callable[[V], object], value: V, path: Path) -> Iterator[Problem]:
    try:
        parse(value)
    except DefinitionError as error:
        for problem in error.problems:
            yield replace(problem, path=(*path, *problem.path))


def _same_ids(steps: list[object], source: Source) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, step in enumerate(steps):
        step_id = step.get("step_id") if isinstance(step, Mapping) else None
        if not isinstance(step_id, str):
            continue
        if step_id in first:
            line = source.locate(("steps", first[step_id], "step_id")).line
            yield Problem(
                found=f"step id '{step_id}' is used twice (first at line {line})",
                expected="expected each step id once",
                path=("steps", index, "step_id"),
            )
        first.setdefault(step_id, index)
