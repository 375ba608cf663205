"""What became of the steps of a run so far, and what of it is not yet recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lorchestra.clock import Clock
from lorchestra.handlers.base import StepAnswer
from lorchestra.json_value import empty, freeze
from lorchestra.run_identity import RunIdentity, attempt_of
from lorchestra.schemas import ErrorRecord, RunStatus, StepOutcome, StepStatus

_NOTHING = empty()


@dataclass(slots=True)
class Tries:
    """How a segment has fared so far: how often it was tried, and every error, by the step that raised it."""

    started_at: datetime
    began_s: float
    """The same in monotonic seconds."""
    count: int = 0
    errors: dict[str, list[ErrorRecord]] = field(default_factory=dict)

    def add_error(self, step_id: str, error: ErrorRecord) -> int:
        """Keep one more error of a step; how many it has had."""
        self.errors.setdefault(step_id, []).append(error)
        return len(self.errors[step_id])


class Outcomes:
    """Starts from the outcomes of earlier attempts; what did not complete there is open again."""

    def __init__(self, identity: RunIdentity, clock: Clock, earlier: Mapping[str, StepOutcome]) -> None:
        self._identity = identity
        self._clock = clock
        self._by_step = {
            step_id: outcome
            for step_id, outcome in earlier.items()
            if outcome.status in (StepStatus.COMPLETED, StepStatus.SKIPPED)
        }
        self._of_attempt: list[StepOutcome] = []
        self._recorded = 0

    def is_completed(self, step_id: str) -> bool:
        outcome = self._by_step.get(step_id)
        return outcome is not None and outcome.status is StepStatus.COMPLETED

    def attempt_of(self, step_id: str) -> int:
        """The attempt that completed the step."""
        return attempt_of(self._by_step[step_id].manifest_ref or "")

    @property
    def completed(self) -> tuple[str, ...]:
        return tuple(step_id for step_id in self._by_step if self.is_completed(step_id))

    def skip(self, step_id: str) -> None:
        if step_id not in self._by_step:
            self._add(StepOutcome(step_id=step_id, status=StepStatus.SKIPPED))

    def complete(self, step_id: str, answer: StepAnswer, tries: Tries, *, output_ref: str | None) -> None:
        self._add(
            StepOutcome.trusted(
                {
                    "step_id": step_id,
                    "status": StepStatus.COMPLETED,
                    "started_at": tries.started_at,
                    "completed_at": self._clock.now(),
                    "manifest_ref": self._identity.manifest_ref(step_id),
                    "output_ref": output_ref,
                    "error": None,
                    "errors": tuple(tries.errors.get(step_id, ())),
                    "tries": tries.count,
                    "counts": freeze(answer.counts) if answer.counts else _NOTHING,
                    "digest": answer.digest,
                    "detail": _detail(answer) if answer.detail or answer.partial else _NOTHING,
                }
            )
        )

    def fail(self, step_id: str, error: ErrorRecord, tries: Tries) -> None:
        self._add(
            StepOutcome(
                step_id=step_id,
                status=StepStatus.FAILED,
                started_at=tries.started_at,
                completed_at=self._clock.now(),
                # What could not be prepared was never asked for.
                manifest_ref=self._identity.manifest_ref(step_id) if tries.count else None,
                error=error,
                errors=tuple(tries.errors.get(step_id, (error,))),
                tries=tries.count,
            )
        )

    def leave_open(self, step_id: str, tries: Tries) -> None:
        """The step was tried and did not come to an end; what went wrong on the way is kept."""
        if step_id in tries.errors:
            self._add(
                StepOutcome(
                    step_id=step_id,
                    status=StepStatus.PENDING,
                    started_at=tries.started_at,
                    manifest_ref=self._identity.manifest_ref(step_id),
                    errors=tuple(tries.errors[step_id]),
                    tries=tries.count,
                )
            )

    def unrecorded(self) -> tuple[StepOutcome, ...]:
        return tuple(self._of_attempt[self._recorded :])

    def mark_recorded(self) -> None:
        """Said only once they are: what could not be recorded with the next manifests is recorded with the end."""
        self._recorded = len(self._of_attempt)

    def of_attempt(self) -> tuple[StepOutcome, ...]:
        return tuple(self._of_attempt)

    def status(self) -> RunStatus:
        """Of a run that went on to its end: completed, or partial when something was set aside on the way."""
        incomplete = any(
            outcome.status is StepStatus.FAILED or outcome.detail.get("partial") for outcome in self._by_step.values()
        )
        return RunStatus.PARTIAL if incomplete else RunStatus.COMPLETED

    def _add(self, outcome: StepOutcome) -> None:
        self._by_step[outcome.step_id] = outcome
        self._of_attempt.append(outcome)


def _detail(answer: StepAnswer) -> Mapping[str, Any]:
    detail: Mapping[str, Any] = freeze({**answer.detail, "partial": True} if answer.partial else answer.detail)
    return detail
