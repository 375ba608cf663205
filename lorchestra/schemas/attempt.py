"""One execution of a run, and what became of each of its steps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from lorchestra.json_value import FrozenObject, empty
from lorchestra.schemas.value import Value


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class RunStatus(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


class ErrorRecord(Value):
    """An error, safe to show. A foreign message may hold values: a keyed digest, `fingerprint`, stands in for it."""

    type: str
    message: str | None = None
    fingerprint: str | None = None
    raised_at: str | None = None
    trace: tuple[str, ...] = ()
    transient: bool = False
    cause: ErrorRecord | None = None


class StepOutcome(Value):
    step_id: str
    status: StepStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    manifest_ref: str | None = None
    output_ref: str | None = None
    error: ErrorRecord | None = None
    errors: tuple[ErrorRecord, ...] = ()
    """Every error on the way, also of tries that a later one made good."""
    tries: int = 1
    counts: FrozenObject = Field(default_factory=empty)
    digest: str | None = None
    detail: FrozenObject = Field(default_factory=empty)


class AttemptRecord(Value):
    run_id: str
    attempt_n: int
    started_at: datetime
    completed_at: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    step_outcomes: tuple[StepOutcome, ...] = ()
