"""The events of a run: that it started, and how it ended. They go to the event log, with the claim of the run.

An event that cannot be appended does not harm the run; the log says that it is missing. The one of the end is appended
before the run is closed: whoever is killed in between goes on with the run, and then tells it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lorchestra.clock import Clock
from lorchestra.errors import LorchestraError
from lorchestra.ops import RunClaim
from lorchestra.reporting import error_record
from lorchestra.reporting.observer import Observer
from lorchestra.run_identity import RunIdentity
from lorchestra.schemas import ErrorRecord, RunStatus, StepOutcome
from lorchestra.stack_clients.event_client import log_event
from lorchestra.storacle.protocol import StoracleClient

STARTED, COMPLETED, FAILED = "job.started", "job.completed", "job.failed"

_STEP = "run"


class RunEvents:
    def __init__(self, identity: RunIdentity, client: StoracleClient, clock: Clock, observer: Observer) -> None:
        self._identity = identity
        self._client = client
        self._clock = clock
        self._observer = observer

    def started(self, claim: RunClaim) -> None:
        self._append(claim, STARTED, "running", {})

    def ended(
        self, claim: RunClaim, status: RunStatus, outcomes: Iterable[StepOutcome], error: ErrorRecord | None
    ) -> None:
        is_done = status in (RunStatus.COMPLETED, RunStatus.PARTIAL)
        took = self._clock.now() - self._identity.started_at
        payload = {
            "duration_ms": round(took.total_seconds() * 1000, 3),
            "steps": {outcome.step_id: dict(outcome.counts) for outcome in outcomes if outcome.counts},
        }
        message = None if error is None else error_record.summary(error)
        self._append(claim, COMPLETED if is_done else FAILED, status.value, payload, message)

    def _append(
        self, claim: RunClaim, event_type: str, status: str, payload: Mapping[str, Any], message: str | None = None
    ) -> None:
        identity = self._identity
        try:
            log_event(
                self._client,
                claim.meta(self._client, _STEP),
                event_type=event_type,
                status=status,
                error_message=message,
                payload={"attempt_n": identity.attempt_n, **payload},
                event_id=f"{identity.run_id}:{identity.attempt_n}:{event_type}",
                at=self._clock.now(),
            )
        except LorchestraError as error:
            self._observer.emit("event.lost", error=error, event_type=event_type)
