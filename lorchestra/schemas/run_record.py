"""A run as it is kept: safe to show and to ship."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from lorchestra.json_value import FrozenObject, empty
from lorchestra.schemas.attempt import AttemptRecord, ErrorRecord, RunStatus, StepOutcome
from lorchestra.schemas.envelope import EnvelopeRecord
from lorchestra.schemas.value import Value


class RunRecord(Value):
    run_id: str
    job_id: str
    job_version: str
    job_def_sha256: str
    envelope: EnvelopeRecord
    started_at: datetime
    completed_at: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    namespace: str = "prod"
    parent_run_id: str | None = None
    parent_step_id: str | None = None
    step_ids: tuple[str, ...] = ()
    code: FrozenObject = Field(default_factory=empty)
    """The content hash of each callable the job names."""
    error: ErrorRecord | None = None
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def step_outcomes(self) -> tuple[StepOutcome, ...]:
        """The latest outcome of each step, in the order of the definition."""
        latest = {outcome.step_id: outcome for attempt in self.attempts for outcome in attempt.step_outcomes}
        return tuple(latest[step_id] for step_id in self.step_ids if step_id in latest)
