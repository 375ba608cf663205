"""Compiles a job for one run: decides conditions, replaces `@ctx` and `@payload`, checks what `@run` refers to.

Pure, and deterministic to the byte: the same definition, ctx, payload and clock give the same instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from lorchestra import conditions, json_check, reference_checks, references, step_checks
from lorchestra.clock import Clock, SystemClock
from lorchestra.errors import CompileError, DefinitionError, EnvelopeError, Path, Problem
from lorchestra.json_check import describe
from lorchestra.json_value import JSONObject, canonical_bytes, empty
from lorchestra.reference_checks import CheckedStep
from lorchestra.references import MapNode, Node
from lorchestra.schemas import IdempotencyConfig, JobDef, JobInstance, JobStepInstance, RetryPolicy, StepDef

T = TypeVar("T")


def compile_job(
    job_def: JobDef,
    ctx: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    *,
    clock: Clock | None = None,
) -> JobInstance:
    """Raises EnvelopeError when ctx or payload is no JSON object, CompileError with every mistake of the job.

    A path of a CompileError begins at the definition, one of an EnvelopeError at the envelope.
    """
    inputs = _Inputs(ctx=empty() if ctx is None else ctx, payload=empty() if payload is None else payload)
    inputs.require_json()
    compilation = _Compilation(inputs, job_def.retry)
    steps = tuple([compilation.compile(index, step) for index, step in enumerate(job_def.steps)])
    problems = compilation.all_problems()
    if problems:
        raise CompileError(*problems)
    return JobInstance(
        job_id=job_def.job_id,
        job_version=job_def.version,
        job_def_sha256=job_def.sha256(),
        compiled_at=(clock or SystemClock()).now(),
        steps=steps,
        concurrency=job_def.concurrency,
        tags=job_def.tags,
        definition=job_def,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    ctx: JSONObject
    payload: JSONObject

    def require_json(self) -> None:
        problems: list[Problem] = []
        for name, value in (("ctx", self.ctx), ("payload", self.payload)):
            if isinstance(value, Mapping):
                problems += _below((name,), json_check.problems_of(value))
            else:
                found = f"the {name} is {describe(value)}"
                problems.append(Problem(found=found, expected="expected a JSON object", path=(name,)))
        if problems:
            raise EnvelopeError(*problems)


class _Compilation:
    """Collects the mistakes of all steps, so that one of them hides no other."""

    def __init__(self, inputs: _Inputs, retry: RetryPolicy | None) -> None:
        self._inputs = inputs
        self._retry = retry
        self._problems: list[Problem] = []
        self._checked: list[CheckedStep] = []

    def all_problems(self) -> list[Problem]:
        """In the order of the steps."""
        problems = (*self._problems, *reference_checks.problems_of(self._checked))
        return sorted(problems, key=lambda problem: int(problem.path[1]))

    def compile(self, index: int, step: StepDef) -> JobStepInstance:
        """The step as compiled; of use only when there are no problems."""
        path: Path = ("steps", index)
        runs = self._decide(step, path)
        params = self._params(index, step, runs=runs)
        self._problems += _below((*path, "idempotency"), step_checks.idempotency_problems(step.idempotency))
        return JobStepInstance(
            step_id=step.step_id,
            op=step.op,
            params=params,
            template=step.params,
            phase_id=step.phase_id,
            timeout_s=step.timeout_s,
            total_timeout_s=step.total_timeout_s,
            continue_on_error=step.continue_on_error,
            on_error=step.on_error,
            retry=step.retry if step.retry is not None else self._retry,
            workers=step.workers,
            idempotency=step.idempotency,
            semantic_key=self._semantic_key(step.idempotency, path) if runs else None,
            compiled_skip=runs is False,
        )

    def _decide(self, step: StepDef, path: Path) -> bool | None:
        condition = step.if_
        if condition is None:
            return True
        ctx, payload = self._inputs.ctx, self._inputs.payload
        return self._attempt(
            (*path, "if"), lambda: conditions.evaluate(conditions.parse(condition), ctx=ctx, payload=payload)
        )

    def _params(self, index: int, step: StepDef, *, runs: bool | None) -> JSONObject:
        """What the step is asked to do: nothing when it is skipped, since what it names need not exist then."""
        path: Path = ("steps", index, "params")
        nodes: dict[str, Node] = {}
        for name, value in step.params.items():
            # One by one, so that a malformed param does not hide what is wrong with the others.
            template = self._attempt(path, partial(references.parse, {name: value}))
            if isinstance(template, MapNode):
                nodes.update(template.entries)
        self._checked.append(CheckedStep(index=index, definition=step, params=nodes, runs=runs))
        self._problems += _below(path, step_checks.param_problems(step, nodes))
        if not runs:
            return empty()
        ctx, payload = self._inputs.ctx, self._inputs.payload
        resolve = partial(references.resolve_static, MapNode(tuple(nodes.items())), ctx=ctx, payload=payload)
        values = self._attempt(path, resolve)
        if not isinstance(values, Mapping):
            return empty()
        self._problems += _below(path, step_checks.value_problems(step, nodes, values))
        return values

    def _semantic_key(self, config: IdempotencyConfig, path: Path) -> str | None:
        text = config.semantic_key_ref
        if text is None:
            return None
        try:
            ref = step_checks.key_ref(text)
        except DefinitionError:
            # Reported as a mistake of the definition, whether the step runs or not.
            return None
        return self._attempt((*path, "idempotency", "semantic_key_ref"), lambda: self._key_text(ref))

    def _key_text(self, ref: references.StaticRef) -> str:
        value = references.static_value(ref, ctx=self._inputs.ctx, payload=self._inputs.payload)
        if not isinstance(value, (bool, int, float, str)):
            raise CompileError(
                Problem(found=f"'{ref}' is {describe(value)}", expected="expected a text, a number or a boolean")
            )
        return canonical_bytes(value).decode()

    def _attempt(self, path: Path, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except DefinitionError as error:
            self._problems += _below(path, error.problems)
            return None


def _below(path: Path, problems: Iterable[Problem]) -> list[Problem]:
    return [replace(problem, path=(*path, *problem.path)) for problem in problems]
