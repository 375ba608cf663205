"""A run as it is kept: safe to show and to ship."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from lorchestra.json_value import FrozenObject, empty
from lorchestra.schemas.attempt import AttemptRecord, ErrorRecord, RunStatus, StepOutcome
from lorchestra.schemas.envelope import PRODUCTION, EnvelopeRecord
from lorchestra.schemas.value import Value


class Basis(Value):
    """What a run does its work with, from an attempt on: that which a resumption is held to."""

    attempt_n: int
    job_version: str
    job_def_sha256: str
    code: FrozenObject
    ctx_digest: str
    payload_digest: str


class RunRecord(Value):
    run_id: str
    job_id: str
    job_version: str
    job_def_sha256: str
    envelope: EnvelopeRecord
    started_at: datetime
    completed_at: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    namespace: str = PRODUCTION
    parent_run_id: str | None = None
    parent_step_id: str | None = None
    step_ids: tuple[str, ...] = ()
    code: FrozenObject = Field(default_factory=empty)
    """The content hash of each callable the job names."""
    accepted: tuple[Basis, ...] = ()
    """What it was resumed with instead, where changes were accepted."""
    error: ErrorRecord | None = None
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def basis(self) -> Basis:
        """The latest that holds."""
        if self.accepted:
            return self.accepted[-1]
        return Basis(
            attempt_n=1,
            job_version=self.job_version,
            job_def_sha256=self.job_def_sha256,
            code=self.code,
            ctx_digest=self.envelope.ctx_digest,
            payload_digest=self.envelope.payload_digest,
        )

    @property
    def step_outcomes(self) -> tuple[StepOutcome, ...]:
        """The latest outcome of each step, in the order of the definition."""
        latest = {outcome.step_id: outcome for attempt in self.attempts for outcome in attempt.step_outcomes}
        return tuple(latest[step_id] for step_id in self.step_ids if step_id in latest)
