"""Who is told what a run does while it does it: a log, a progress display, a test."""

from __future__ import annotations

from typing import Protocol, TypeAlias

Field: TypeAlias = str | int | float | bool | None


class Observer(Protocol):
    def emit(self, event: str, *, error: BaseException | None = None, **fields: Field) -> None:
        """One thing that happened. Fields are ids, counts, durations and hashes, never values; an error may hold some,
        and is for the eyes of whoever asked for it, on a console."""


class SilentObserver:
    def emit(self, event: str, *, error: BaseException | None = None, **fields: Field) -> None:
        """Nobody is told."""


class Both:
    """Tells one, and then another."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self._first = first
        self._second = second

    def emit(self, event: str, *, error: BaseException | None = None, **fields: Field) -> None:
        self._first.emit(event, error=error, **fields)
        self._second.emit(event, error=error, **fields)


class RecordingObserver:
    """Keeps what it was told, for tests."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Field]]] = []

    def emit(self, event: str, *, error: BaseException | None = None, **fields: Field) -> None:
        self.events.append((event, fields))
