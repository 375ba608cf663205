"""So many requests a second and no more, from however many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Pace:
    def __init__(self, per_s: float, *, monotonic: Callable[[], float], wait: Callable[[float], None]) -> None:
        self._interval = 1 / per_s
        self._monotonic = monotonic
        self._wait = wait
        self._lock = threading.Lock()
        self._next = 0.0
        self.taken = 0

    def take(self) -> None:
        """Wait for the next turn."""
        with self._lock:
            now = self._monotonic()
            turn = max(self._next, now)
            self._next = turn + self._interval
            self.taken += 1
        if turn > now:
            self._wait(turn - now)

    def rest(self, seconds: float) -> None:
        """Nobody has a turn for so long: who asks for less asks all threads."""
        with self._lock:
            self._next = max(self._next, self._monotonic() + seconds)
