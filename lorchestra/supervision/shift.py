"""What a worker is given to do, and the one lock that says who may touch the run meanwhile."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from lorchestra.supervision.scope import Scope, StepStopped

T = TypeVar("T")
R = TypeVar("R")


class Shift(Generic[R]):
    """One piece of work, from the hand-over to a worker until it is done or stopped.

    The worker holds the lock all the time, except while a step is at work. Whoever takes the lock from outside finds
    the run in one of two states, and never in the middle of a record: a step is at work and can be left behind, or the
    shift is over. Once it is stopped, nothing of it touches the run again.
    """

    def __init__(self, work: Callable[[Shift[R]], R], *, on_end: Callable[[Shift[R]], None]) -> None:
        """`on_end` is told, by the worker, when the work has come to its end, stopped or not."""
        self._work: Callable[[Shift[R]], R] | None = work
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._is_stopped = False
        self._result: R | None = None
        self._error: BaseException | None = None
        self.watched: Scope | None = None
        """The try that is at work just now; None while the worker writes down what came of it."""

    def attempt(self, work: Callable[[], T], scope: Scope) -> T:
        """Called by the work itself, for the part of it that may be left behind. Raises StepStopped when it was."""
        self.watched = scope
        self._lock.release()
        try:
            return contextvars.copy_context().run(work)
        finally:
            self._lock.acquire()
            self.watched = None
            if self._is_stopped:
                raise StepStopped

    def carry_out(self, *, at_rest: Callable[[], None]) -> None:
        """What the worker does. `at_rest` is called once it could take another shift, before anybody hears of this."""
        with self._lock:
            work, self._work = self._work, None
            if work is not None and not self._is_stopped:
                try:
                    self._result = self._context.run(work, self)
                except BaseException as error:  # noqa: BLE001  (kept for the waiting thread, which raises it)
                    self._error = error
        at_rest()
        self._on_end(self)

    def stop(self, watched: Scope | None = None) -> bool:
        """Leave the work behind; with `watched`, only if just this is still at work. Whether it was stopped by this."""
        with self._lock:
            if watched is not None and self.watched is not watched:
                return False
            self._is_stopped = True
            if self.watched is not None:
                self.watched.stop()
            return True

    def result(self) -> R:
        """Of a shift that has ended: what the work returned, or its error, raised."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set, when there was no error
