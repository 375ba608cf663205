"""Compiles a job for one run: decides conditions, replaces `@ctx` and `@payload`, checks what `@run` refers to.

Pure, and deterministic to the byte: the same definition, ctx, payload and clock give the same instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from lorchestra.clock import Clock, SystemClock
from lorchestra.compiler import reference_checks, step_checks
from lorchestra.compiler.outputs import SHAPES
from lorchestra.compiler.reference_checks import CheckedStep
from lorchestra.errors import CompileError, DefinitionError, EnvelopeError, Path, PlanError, Problem
from lorchestra.json_value import JSONObject, canonical_bytes, empty
from lorchestra.language import conditions, json_check, references
from lorchestra.language.json_check import describe
from lorchestra.language.references import MapNode, Node
from lorchestra.plan.spec import PlanSpec
from lorchestra.schemas import IdempotencyConfig, JobDef, JobInstance, JobStepInstance, Op, RetryPolicy, StepDef

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


def problems_of(job_def: JobDef) -> tuple[Problem, ...]:
    """The mistakes that no ctx or payload can mend. Paths begin at the definition."""
    problems: list[Problem] = []
    checked = []
    for index, step in enumerate(job_def.steps):
        path: Path = ("steps", index)
        nodes = {name: references.parse(value) for name, value in step.params.items()}
        # An `if` that refers to nothing is a plain yes or no; any other may come out either way.
        runs = step.if_ if isinstance(step.if_, bool) else True if step.if_ is None else None
        checked.append(CheckedStep(index=index, definition=step, params=nodes, runs=runs))
        flaws = tuple(step_checks.param_problems(step, nodes))
        problems += _below((*path, "params"), (*flaws, *_plan_problems(step, nodes, step.params, flaws)))
        problems += _below((*path, "idempotency"), step_checks.idempotency_problems(step.idempotency))
    return _in_order((*problems, *reference_checks.problems_of(checked)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    ctx: JSONObject
    payload: JSONObject

    def require_json(self) -> None:
        problems: list[Problem] = []
        for name, value in (("ctx", self.ctx), ("payload", self.payload)):
            if isinstance(value, Mapping):
                problems += (
                    replace(problem, path=(name, *json_check.without_keys(value, problem.path)))
                    for problem in json_check.problems_of(value)
                )
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

    def all_problems(self) -> tuple[Problem, ...]:
        """In the order of the steps."""
        return _in_order((*self._problems, *reference_checks.problems_of(self._checked)))

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
        flaws = tuple(step_checks.param_problems(step, nodes))
        self._problems += _below(path, flaws)
        if not runs:
            return empty()
        ctx, payload = self._inputs.ctx, self._inputs.payload
        resolve = partial(references.resolve_static, MapNode(tuple(nodes.items())), ctx=ctx, payload=payload)
        values = self._attempt(path, resolve)
        if not isinstance(values, Mapping):
            return empty()
        self._problems += _below(path, step_checks.value_problems(step, nodes, values))
        compiled = {name: references.parse(value) for name, value in values.items()}
        self._problems += _below(path, _plan_problems(step, compiled, values, flaws))
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


def _plan_problems(
    step: StepDef, nodes: Mapping[str, Node], params: JSONObject, flaws: Iterable[Problem]
) -> tuple[Problem, ...]:
    """Of a plan.build whose params, but for the items, refer to nothing any more; beside the flaws already found."""
    if step.op is not Op.PLAN_BUILD:
        return ()
    known = (SHAPES[step.op].params or frozenset()) - {"items"} - {str(flaw.path[0]) for flaw in flaws if flaw.path}
    wanted = {name: value for name, value in params.items() if name in known and name in nodes}
    if any(references.has_refs(nodes[name]) for name in wanted):
        return ()
    is_authored = not any(references.has_refs(references.parse(step.params[name])) for name in wanted)
    try:
        PlanSpec.from_params(wanted, is_authored=is_authored)
    except PlanError as error:
        return error.problems
    return ()


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: int(problem.path[1])))


def _below(path: Path, problems: Iterable[Problem]) -> list[Problem]:
    return [replace(problem, path=(*path, *problem.path)) for problem in problems]
