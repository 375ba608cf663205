"""Watches over the work of a run from the thread that called for it, and stops waiting when it should.

The work goes on by itself on another thread: segment after segment, nothing handed over in between. The thread that
executes the run only watches: for the end of the work, for a step that goes without progress too long, or for a
cancellation. Work that does not stop is abandoned: the next thing it asks of us raises.
"""

from __future__ import annotations

import math
import queue
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from lorchestra.errors import RunCancelled, StepTimeout, TotalTimeout
from lorchestra.supervision.cancellation import Cancellation
from lorchestra.supervision.scope import Scope
from lorchestra.supervision.shift import Shift
from lorchestra.supervision.workers import Workers

T = TypeVar("T")

_LONGEST_WAIT_S = 0.5

_Message: TypeAlias = Shift[Any] | None
"""A shift that has ended; or None, which says that something besides the work wants attention."""


class Supervisor:
    """Used by one thread at a time, for one run."""

    def __init__(
        self,
        *,
        workers: Workers,
        cancellation: Cancellation,
        monotonic: Callable[[], float],
        grace_s: float,
        progress: Callable[[], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Somebody who waits for the run is told of its `progress`, and asked by `check` whether they still wait."""
        self._workers = workers
        self._cancellation = cancellation
        self._monotonic = monotonic
        self._grace_s = grace_s
        self._progress = progress
        self._check = check
        self._mailbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self.has_left_work = False
        """Whether some work was abandoned, and may still be going on."""

    def __enter__(self) -> Supervisor:
        self._cancellation.add_listener(self._wake)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cancellation.remove_listener(self._wake)

    def run(self, work: Callable[[Shift[T]], T], *, shortest_s: float = math.inf) -> T:
        """The work's result, or its error; StepTimeout, TotalTimeout or RunCancelled when it was stopped.

        `shortest_s` is the least time that any limit of the work allows.
        """
        self.check_cancelled()
        shift = self._hand_over(work)
        try:
            self._await(shift, min(shortest_s, _LONGEST_WAIT_S))
        except RunCancelled:
            shift.stop()
            self._let_finish(shift)
            raise
        except (StepTimeout, TotalTimeout):
            self.has_left_work = True
            raise
        except BaseException:
            # Whatever ended the wait, an interrupt too: work that nobody waits for may not go on.
            shift.stop()
            self.has_left_work = True
            raise
        return shift.result()

    def run_last(self, work: Callable[[], object]) -> None:
        """Give work the grace time, also when the run was cancelled; what comes of it changes nothing any more."""
        scope = Scope(("",), self._monotonic, limits={})
        self._let_finish(self._hand_over(lambda shift: shift.attempt(work, scope)))

    def sleep(self, seconds: float) -> None:
        """Pause, unless the run is cancelled meanwhile."""
        end = self._monotonic() + seconds
        while (left := end - self._monotonic()) > 0:
            self.check_cancelled()
            self._wait(min(left, _LONGEST_WAIT_S))
            self._tell_progress()
        self.check_cancelled()

    def check_cancelled(self) -> None:
        if (reason := self._cancellation.reason) is not None:
            raise RunCancelled(reason)

    def _hand_over(self, work: Callable[[Shift[T]], T]) -> Shift[T]:
        shift = Shift(work, on_end=self._mailbox.put)
        self._workers.hand_over(shift)
        return shift

    def _await(self, shift: Shift[Any], longest_s: float) -> None:
        """Until the shift has ended. Raises StepTimeout or TotalTimeout, and the shift is stopped then."""
        seen = None
        while True:
            watched = shift.watched
            if self._wait(min(longest_s, self._until_due(watched))) is shift:
                return
            self.check_cancelled()
            if self._check is not None:
                self._check()
            watched = shift.watched
            if watched is None:
                # The worker writes down what came of a step. That is not to be interrupted.
                continue
            if watched.mark is not seen:
                seen = watched.mark
                self._tell_progress()
            timeout = self._overdue(watched)
            if timeout is not None and shift.stop(watched):
                raise timeout

    def _wake(self) -> None:
        self._mailbox.put(None)

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._progress()

    def _wait(self, seconds: float) -> _Message:
        # Never for long. Someone who waits for our progress must hear of it well within the time they allow us. And a
        # signal that comes just before this thread begins to wait does not end the wait: its handler runs when the
        # wait is over.
        try:
            return self._mailbox.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def _until_due(self, watched: Scope | None) -> float:
        if watched is None:
            return math.inf
        step_id, since = watched.mark
        due = [watched.began + total_s for _, total_s in watched.totals()]
        due.append(since + watched.limits[step_id].idle_s)
        return min(due) - self._monotonic()

    def _overdue(self, watched: Scope) -> StepTimeout | TotalTimeout | None:
        step_id, since = watched.mark
        now = self._monotonic()
        for name, total_s in watched.totals():
            if now >= watched.began + total_s:
                return TotalTimeout(step=name, seconds=total_s)
        idle_s = watched.limits[step_id].idle_s
        return StepTimeout(step=step_id, seconds=idle_s) if now - since >= idle_s else None

    def _let_finish(self, shift: Shift[Any]) -> None:
        """Give work that was told to stop the time to reach a clean end, then abandon it."""
        end = self._monotonic() + self._grace_s
        while (left := end - self._monotonic()) > 0:
            if self._wait(min(left, _LONGEST_WAIT_S)) is shift:
                return
        shift.stop()
        self.has_left_work = True
