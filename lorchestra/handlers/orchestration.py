"""`job.run`: a job as a step of another, in a run of its own that is linked to its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import ValidationError

from lorchestra.clock import Clock, SystemClock
from lorchestra.compiler import compile_job, leave_out
from lorchestra.errors import DefinitionError, PermanentError, Problem
from lorchestra.handlers.base import StepAnswer, StepRequest
from lorchestra.result import ExecutionResult
from lorchestra.schemas import Envelope, JobDef, JobStepInstance, Op, RunStatus

_COUNTED = ("record", "rejected")


class Definitions(Protocol):
    """Where the jobs are found: a JobRegistry, or the pipelines with it."""

    def load(self, job_id: str, version: str | None = None) -> JobDef:
        """Raises DefinitionError for what there is not, or not without mistakes."""


class RecursiveJob(DefinitionError):
    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(
            Problem(
                found=f"the job '{path[-1]}' runs itself: {' -> '.join(path)}",
                expected="jobs that run other jobs form no circle",
            )
        )
        self.path = tuple(path)


class ChildFailed(PermanentError):
    def __init__(self, *, job_id: str, run_id: str | None, status: str) -> None:
        super().__init__(
            f"the child run {run_id} of job '{job_id}' ended as {status}; `lorchestra runs show {run_id}` says why"
        )


class OrchestrationHandler:
    def __init__(self, registry: Definitions, *, clock: Clock | None = None) -> None:
        self._registry = registry
        self._clock = clock or SystemClock()

    def check(self, step: JobStepInstance, lineage: tuple[str, ...] = ()) -> None:
        self._refuse_recursion(step.params["job_id"], step.params.get("version"), lineage)

    def execute(self, request: StepRequest) -> StepAnswer:
        envelope = _envelope(request)
        job_id = envelope.job_id
        if job_id in request.lineage:
            raise RecursiveJob((*request.lineage, job_id))
        definition = leave_out(self._registry.load(job_id, envelope.version), envelope.leave_out)
        instance = compile_job(definition, envelope.ctx, envelope.payload, clock=self._clock)
        child = request.run_child(instance, envelope)
        status = child.result.status
        if status in (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED):
            raise ChildFailed(job_id=job_id, run_id=child.result.run_id, status=status)
        return StepAnswer(
            output={"run_id": child.result.run_id, "status": status, "outputs": child.outputs},
            counts=_counts(child.result),
            detail={"child_run_id": child.result.run_id, "child_status": status},
            partial=status == RunStatus.PARTIAL,
        )

    def _refuse_recursion(self, job_id: str, version: str | None, above: tuple[str, ...]) -> None:
        path = (*above, job_id)
        if job_id in above:
            raise RecursiveJob(path)
        for step in self._registry.load(job_id, version).steps:
            child, of_child = step.params.get("job_id"), step.params.get("version")
            # Whatever else stands there is a mistake, and is reported when that job is compiled.
            if step.op is Op.JOB_RUN and isinstance(child, str):
                self._refuse_recursion(child, of_child if isinstance(of_child, str) else None, path)


def _counts(result: ExecutionResult) -> dict[str, int]:
    """What went through the child: its items, added up over its steps."""
    outcomes = result.run_record.step_outcomes if result.run_record else ()
    totals = {name: sum(outcome.counts.get(name, 0) for outcome in outcomes) for name in _COUNTED}
    return {name: total for name, total in totals.items() if total}


def _envelope(request: StepRequest) -> Envelope:
    params: Mapping[str, Any] = request.params
    try:
        return Envelope(
            job_id=params["job_id"],
            version=params.get("version"),
            ctx=params.get("ctx") or {},
            payload=params.get("payload") or {},
            smoke_namespace=request.smoke_namespace,
            read_from=request.read_from,
            leave_out=params.get("leave_out") or (),
        )
    except ValidationError as error:
        wrong = ", ".join(f"'{detail['loc'][0]}'" for detail in error.errors(include_input=False))
        failure = PermanentError(f"step '{request.step.step_id}': {wrong} is not what a job takes")
    # Outside the `except`: the foreign message quotes the value.
    raise failure
