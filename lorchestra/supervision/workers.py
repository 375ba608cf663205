"""Threads that carry out shifts, one after the other. An idle one is used again, and ends when nobody needs it."""

from __future__ import annotations

import queue
import threading
from typing import Any

from lorchestra.supervision.shift import Shift

_IDLE_S = 10.0

# A list of the threads of a process shows who is at work.
_AT_WORK = "lorchestra-worker"
_AT_REST = "lorchestra-idle"


class Workers:
    """Shared by runs on any thread: taking from a list, adding to it and removing from it are atomic each."""

    def __init__(self, *, idle_s: float = _IDLE_S) -> None:
        self._idle_s = idle_s
        self._idle: list[_Worker] = []

    def hand_over(self, shift: Shift[Any]) -> None:
        worker = self._take()
        if worker is None:
            worker = _Worker(self._idle, self._idle_s)
            worker.start()
        worker.name = _AT_WORK
        worker.inbox.put(shift)

    def _take(self) -> _Worker | None:
        try:
            # In a process that was forked, the threads of its parent are not alive.
            while not (worker := self._idle.pop()).is_alive():
                pass
        except IndexError:
            return None
        return worker


class _Worker(threading.Thread):
    def __init__(self, idle: list[_Worker], idle_s: float) -> None:
        # A daemon, so that work which never returns cannot keep the process alive.
        super().__init__(daemon=True)
        self.inbox: queue.SimpleQueue[Shift[Any]] = queue.SimpleQueue()
        self._idle = idle
        self._idle_s = idle_s

    def run(self) -> None:
        while (shift := self._next()) is not None:
            shift.carry_out(at_rest=self._rest)
            # Neither the work nor what came of it may live on here until the next shift comes.
            del shift

    def _rest(self) -> None:
        self.name = _AT_REST
        self._idle.append(self)

    def _next(self) -> Shift[Any] | None:
        while True:
            try:
                return self.inbox.get(timeout=self._idle_s)
            except queue.Empty:
                try:
                    self._idle.remove(self)
                except ValueError:
                    # Somebody has just taken this worker, and is about to hand over a shift.
                    continue
                return None
