"""What became of the run of a pipeline, job by job."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lorchestra.clock import child_run_id
from lorchestra.errors import RunNotFound
from lorchestra.json_value import empty
from lorchestra.pipelines.tree import Leaf, Pipeline
from lorchestra.result import ExecutionResult
from lorchestra.run_store.protocol import RunStore
from lorchestra.schemas import RunRecord, RunStatus, StepOutcome

NOT_RUN, LEFT_OUT = "not_run", "left_out"

_DONE = frozenset({RunStatus.COMPLETED.value, RunStatus.PARTIAL.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """One job of a pipeline. `status` is that of its run; without a run it is `not_run` or `left_out`, or says why."""

    job_id: str
    stage: str
    status: str
    run_id: str | None = None
    error: str | None = None
    counts: Mapping[str, int] = field(default_factory=empty)
    """What its steps counted, added up."""
    duration_ms: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "job_id": self.job_id,
            "stage": self.stage,
            "status": self.status,
            "run_id": self.run_id,
            "error": self.error,
            "counts": dict(self.counts),
            "duration_ms": self.duration_ms,
        }


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """`total` counts the jobs that were asked for; `succeeded` those that completed, wholly or in part.

    `success` means that the run completed: nothing failed, and nothing was set aside.
    """

    pipeline_id: str
    success: bool
    total: int
    succeeded: int
    failed: int
    failures: Sequence[Mapping[str, str | None]]
    """The `job_id` and the `error` of each that failed."""
    duration_ms: float
    stopped_early: bool
    status: str = ""
    run_id: str | None = None
    jobs: tuple[JobOutcome, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "pipeline_id": self.pipeline_id,
            "success": self.success,
            "status": self.status,
            "run_id": self.run_id,
            "total": self.total,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "failures": [dict(failure) for failure in self.failures],
            "duration_ms": self.duration_ms,
            "stopped_early": self.stopped_early,
            "jobs": [job.to_dict() for job in self.jobs],
        }


def result_of(
    run: ExecutionResult, pipeline: Pipeline, *, store: RunStore, leave_out: Collection[str] = ()
) -> PipelineResult:
    """What the store has of the run that just ended, and of the runs below it."""
    jobs = tuple(_outcomes(run, pipeline, store, leave_out))
    asked = [job for job in jobs if job.status != LEFT_OUT]
    failures = [{"job_id": job.job_id, "error": job.error} for job in asked if job.status == RunStatus.FAILED]
    if not failures and run.status == RunStatus.FAILED:
        # It failed by itself: it could not be recorded any more, or would not start a part of it.
        failures = [{"job_id": pipeline.job_id, "error": run.error}]
    attempt = run.attempt
    return PipelineResult(
        pipeline_id=pipeline.name,
        success=run.success,
        total=len(asked),
        succeeded=sum(job.status in _DONE for job in asked),
        failed=len(failures),
        failures=tuple(failures),
        duration_ms=_milliseconds(attempt.started_at, attempt.completed_at) or 0.0 if attempt else 0.0,
        stopped_early=any(job.status == NOT_RUN for job in asked),
        status=run.status,
        run_id=run.run_id,
        jobs=jobs,
    )


def run_ids_of(leaf: Leaf, root_run_id: str) -> tuple[str, ...]:
    """The runs that lead to that of a job, in a run of its pipeline; its own comes last."""
    ids = [root_run_id]
    for step_id in leaf.path:
        ids.append(child_run_id(ids[-1], step_id))
    return tuple(ids[1:])


def finished_jobs(pipeline: Pipeline, root_run_id: str, store: RunStore) -> frozenset[Leaf]:
    """The jobs that are done in a run of the pipeline, and will not be run when that is resumed."""
    return frozenset(
        leaf
        for leaf in pipeline.leaves()
        if (record := _record(store, run_ids_of(leaf, root_run_id)[-1])) and record.status.value in _DONE
    )


def _record(store: RunStore, run_id: str) -> RunRecord | None:
    try:
        return store.get(run_id)
    except RunNotFound:
        return None


def _outcomes(
    run: ExecutionResult, pipeline: Pipeline, store: RunStore, leave_out: Collection[str]
) -> Iterator[JobOutcome]:
    records: dict[str, RunRecord | None] = {} if run.run_id is None else {run.run_id: run.run_record}

    def record_of(run_id: str) -> RunRecord | None:
        if run_id not in records:
            records[run_id] = _record(store, run_id)
        return records[run_id]

    for leaf in pipeline.leaves():
        if leaf.is_left_out(leave_out):
            yield JobOutcome(job_id=leaf.job_id, stage=leaf.stage, status=LEFT_OUT)
        elif run.run_id is None:
            yield JobOutcome(job_id=leaf.job_id, stage=leaf.stage, status=NOT_RUN)
        else:
            ids = (run.run_id, *run_ids_of(leaf, run.run_id))
            own = record_of(ids[-1])
            parent = record_of(ids[-2])
            if own is None:
                yield _of_step(leaf, parent)
            elif _is_left_behind(own, parent):
                # What its run says is of before; why it was not gone on with, the step says.
                yield replace(_of_step(leaf, parent), run_id=own.run_id)
            else:
                yield _of_run(leaf, own)


def _is_left_behind(own: RunRecord, parent: RunRecord | None) -> bool:
    """Whether the run of a job is not done, and the last attempt of the run above it did not go on with it."""
    if parent is None or own.status.value in _DONE or not (own.attempts and parent.attempts):
        return False
    return own.attempts[-1].started_at < parent.attempts[-1].started_at


def _of_run(leaf: Leaf, record: RunRecord) -> JobOutcome:
    attempt = record.attempts[-1] if record.attempts else None
    return JobOutcome(
        job_id=leaf.job_id,
        stage=leaf.stage,
        status=record.status.value,
        run_id=record.run_id,
        error=record.error.message if record.error else None,
        counts=counts_of(record.step_outcomes),
        duration_ms=_milliseconds(attempt.started_at, attempt.completed_at) if attempt else None,
    )


def _of_step(leaf: Leaf, parent: RunRecord | None) -> JobOutcome:
    """Of a job that has no run: its step may have failed before there was one, or was done without one."""
    outcome = next((one for one in parent.step_outcomes if one.step_id == leaf.path[-1]), None) if parent else None
    if outcome is None or outcome.status == "pending":
        return JobOutcome(job_id=leaf.job_id, stage=leaf.stage, status=NOT_RUN)
    status = outcome.detail.get("child_status") or outcome.status.value
    error = outcome.error.message if outcome.error else None
    return JobOutcome(job_id=leaf.job_id, stage=leaf.stage, status=str(status), error=error)


def counts_of(outcomes: Sequence[StepOutcome]) -> dict[str, int]:
    total: dict[str, int] = {}
    for outcome in outcomes:
        for name, count in outcome.counts.items():
            total[name] = total.get(name, 0) + count
    return total


def _milliseconds(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None:
        return None
    return round((end - begin).total_seconds() * 1000, 3)
