"""Values as they stand in the tables, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from lorchestra.errors import StoreError
from lorchestra.run_store import run_state
from lorchestra.run_store.retention import RunEnd
from lorchestra.schemas import AttemptRecord, ErrorRecord, RunRecord, RunStatus, StepManifest, StepOutcome

Model = TypeVar("Model", bound=BaseModel)

_IN_COLUMNS = {"status", "completed_at", "error", "attempts"}


def body(value: BaseModel) -> str:
    return _json(value, type(value).__name__)


def entry(outcomes: Sequence[StepOutcome], manifests: Sequence[StepManifest]) -> str:
    """What is written together."""
    together = {"outcomes": list(map(vars, outcomes)), "manifests": list(map(vars, manifests))}
    return _json(together, "a step's manifest or outcome")


def read_outcomes(entry: str) -> list[StepOutcome]:
    return _members(StepOutcome, entry, "outcomes")


def read_manifests(entry: str) -> list[StepManifest]:
    return _members(StepManifest, entry, "manifests")


def _members(model: type[Model], entry: str, name: str) -> list[Model]:
    try:
        return [model.model_validate(member) for member in orjson.loads(entry)[name]]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(model) from error


def _damaged(model: type[BaseModel]) -> StoreError:
    return StoreError(f"a {model.__name__} in the run store cannot be read: it is damaged")


def _json(value: object, what: str) -> str:
    try:
        return orjson.dumps(value, default=_plain).decode()
    except TypeError:
        # Without the cause: it may quote what cannot be written.
        raise StoreError(f"{what} holds something that JSON cannot represent") from None


def _plain(value: object) -> object:
    # Models one level at a time: orjson does the rest of the work, several times faster than pydantic.
    if type(value) is MappingProxyType:
        return dict(value)
    if type(value) is RunRecord:
        return {name: field for name, field in vars(value).items() if name not in _IN_COLUMNS}
    if isinstance(value, BaseModel):
        return vars(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def value(model: type[Model], text: str) -> Model:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(model) from error


def moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise StoreError("a time in the run store cannot be read: it is damaged") from error


def status(text: str) -> RunStatus:
    try:
        return RunStatus(text)
    except ValueError as error:
        raise StoreError("a status in the run store cannot be read: it is damaged") from error


def time(at: datetime) -> str:
    """In UTC and of one width, so that times sort as texts."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of `runs`, with the heartbeat of its worker."""

    run_id: str
    parent_run_id: str | None
    started_at: str
    record: str
    status: str
    attempt_n: int
    attempt_started_at: str
    completed_at: str | None
    worker_id: str
    error: str | None
    heartbeat_at: str | None
    monotonic_s: float | None

    SELECT = """
        SELECT run_id, parent_run_id, started_at, record, status, attempt_n, attempt_started_at, completed_at,
            runs.worker_id, error, heartbeat_at, monotonic_s
        FROM runs LEFT JOIN workers ON workers.worker_id = runs.worker_id
    """

    def read(
        self,
        status: RunStatus,
        *,
        attempts: tuple[AttemptRecord, ...] = (),
        outcomes: tuple[tuple[int, StepOutcome], ...] = (),
    ) -> RunRecord:
        return run_state.assemble(
            value(RunRecord, self.record),
            status=status,
            completed_at=moment(self.completed_at) if self.completed_at else None,
            error=value(ErrorRecord, self.error) if self.error else None,
            attempts=attempts,
            outcomes=outcomes,
        )

    def end(self, status: RunStatus) -> RunEnd:
        """An interrupted run ended with the last sign of life of its worker, as far as anybody knows."""
        last_known = self.completed_at or self.heartbeat_at or self.started_at
        return RunEnd(
            run_id=self.run_id,
            parent_run_id=self.parent_run_id,
            ended_at=None if status is RunStatus.RUNNING else moment(last_known),
        )

    def last_attempt(self, status: RunStatus) -> AttemptRecord:
        """`status` is what the run reads as."""
        return AttemptRecord(
            run_id=self.run_id,
            attempt_n=self.attempt_n,
            started_at=moment(self.attempt_started_at),
            completed_at=moment(self.completed_at) if self.completed_at else None,
            status=status,
        )


def earlier_attempt(run_id: str, row: tuple[int, str, str, str | None]) -> AttemptRecord:
    attempt_n, kept, started_at, completed_at = row
    return AttemptRecord(
        run_id=run_id,
        attempt_n=attempt_n,
        started_at=moment(started_at),
        completed_at=moment(completed_at) if completed_at else None,
        status=status(kept),
    )
