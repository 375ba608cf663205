"""The rules both stores share: what may be resumed, and how a run reads from what was kept of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from lorchestra.errors import JobBusy, StoreError
from lorchestra.schemas import (
    AttemptRecord,
    Basis,
    ErrorRecord,
    RunRecord,
    RunStatus,
    StepManifest,
    StepOutcome,
)

Entry = TypeVar("Entry", StepManifest, StepOutcome)

_NOTHING_TO_RESUME = frozenset({RunStatus.COMPLETED, RunStatus.PARTIAL})


def check_resumable(record: RunRecord) -> None:
    if record.status is RunStatus.RUNNING:
        raise JobBusy(job_id=record.job_id, namespace=record.namespace, run_id=record.run_id)
    if record.status in _NOTHING_TO_RESUME:
        raise StoreError(
            f"run {record.run_id} is {record.status.value}: there is nothing to resume; start a new run of "
            f"'{record.job_id}' instead"
        )


def is_finished(status: RunStatus) -> bool:
    return status in _NOTHING_TO_RESUME


def check_end(status: RunStatus) -> None:
    if status is RunStatus.RUNNING:
        raise StoreError("a run cannot end as running")


def check_new(record: RunRecord, *, is_known: bool) -> None:
    if is_known:
        raise StoreError(f"run {record.run_id} is recorded already; resume it, or start a run with another id")


def latest(entries: Iterable[tuple[int, Entry]]) -> dict[tuple[int, str], Entry]:
    """The last entry of each step and attempt, in the order written."""
    last: dict[tuple[int, str], Entry] = {}
    for attempt_n, entry in entries:
        key = (attempt_n, entry.step_id)
        last.pop(key, None)
        last[key] = entry
    return last


def accept(record: RunRecord, accepted: Basis, attempt_n: int) -> RunRecord:
    basis = accepted.model_copy(update={"attempt_n": attempt_n})
    return record.model_copy(update={"accepted": (*record.accepted, basis)})


def definitions_of(record: RunRecord) -> set[str]:
    """The hashes of all definitions that the run has had."""
    return {record.job_def_sha256, *(basis.job_def_sha256 for basis in record.accepted)}


def assemble(
    record: RunRecord,
    *,
    status: RunStatus,
    completed_at: datetime | None,
    error: ErrorRecord | None,
    attempts: Iterable[AttemptRecord] = (),
    outcomes: Iterable[tuple[int, StepOutcome]] = (),
) -> RunRecord:
    """The run as it reads now, from the record it began with."""
    kept = latest(outcomes)
    return record.model_copy(
        update={
            "status": status,
            "completed_at": completed_at,
            "error": error,
            "attempts": tuple(
                attempt.model_copy(
                    update={
                        "step_outcomes": tuple(
                            outcome for (attempt_n, _), outcome in kept.items() if attempt_n == attempt.attempt_n
                        )
                    }
                )
                for attempt in attempts
            ),
        }
    )
