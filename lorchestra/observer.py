"""Who is told what a run does while it does it: a log, a progress display, a test."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    def emit(self, event: str, **fields: str | int | float | bool | None) -> None:
        """One thing that happened. Fields are ids, counts, durations and hashes; never values."""


class SilentObserver:
    def emit(self, event: str, **fields: str | int | float | bool | None) -> None:
        pass


class RecordingObserver:
    """Keeps what it was told, for tests."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, str | int | float | bool | None]]] = []

    def emit(self, event: str, **fields: str | int | float | bool | None) -> None:
        self.events.append((event, fields))
