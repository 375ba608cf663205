"""Time and ids, as arguments: a test or a replay passes its own."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


class SystemClock:
    # Asked twice an item, and thrice a step: nothing may stand between.
    monotonic = staticmethod(time.monotonic)
    now = staticmethod(partial(datetime.now, UTC))


class FixedClock:
    """A clock that moves only when told to."""

    def __init__(self, now: datetime) -> None:
        self._start = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds


def new_run_id(now: datetime, randomness: bytes | None = None) -> str:
    """A ULID: 48 bits of milliseconds, 80 bits of randomness; ids sort by time."""
    return _ulid(int(now.timestamp() * 1000), randomness or os.urandom(10))


def child_run_id(parent_run_id: str, step_id: str) -> str:
    """The id of the run that a step of a run starts: the same each time, so that a resumed parent finds it."""
    digest = hashlib.sha256(f"{parent_run_id}/{step_id}".encode()).digest()
    milliseconds = 0
    for letter in parent_run_id[:10]:
        milliseconds = milliseconds * 32 + _ALPHABET.index(letter)
    return _ulid(milliseconds, digest[:10])


def _ulid(milliseconds: int, randomness: bytes) -> str:
    number = (milliseconds << 80) | int.from_bytes(randomness, "big")
    return "".join([_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)])
