"""Runs the work of a segment on a thread of its own, and stops waiting for it when it should.

The whole chain of a segment runs on one reused thread, so that nothing is handed over per item. The thread that
executes the run only waits: for the work to end, for a step to go without progress too long, or for a cancellation.
Work that does not stop is abandoned: its scope is stopped, so that the next thing it asks of us raises, and its thread
gets no more work.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lorchestra import code_names
from lorchestra.errors import LorchestraError, RunCancelled, StepTimeout, TotalTimeout
from lorchestra.supervision.cancellation import Cancellation

T = TypeVar("T")

_LONGEST_WAIT_S = 0.5


class StepStopped(LorchestraError):
    """Raised inside work that nobody waits for any more."""

    def __init__(self) -> None:
        super().__init__("the step was stopped")


class StepRaised(LorchestraError):
    """Carries an error of one step through the streams of the others."""

    def __init__(self, step_id: str, error: BaseException) -> None:
        super().__init__(f"step '{step_id}' raised {code_names.type_name(type(error))}")
        self.step_id = step_id
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`idle_s`: how long the step may go without progress. `deadline`: when it must be done, in monotonic seconds."""

    idle_s: float
    total_s: float | None = None
    deadline: float | None = None


class Scope:
    """One try of a segment: which step is at work, since when, and whether anybody still waits for it.

    The work writes it and the supervisor reads it; each field is one reference, so neither needs a lock.
    """

    __slots__ = ("_broken", "_monotonic", "mark")

    def __init__(self, step_id: str, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._broken: StepStopped | StepRaised | None = None
        self.mark = (step_id, monotonic())

    def enter(self, step_id: str) -> None:
        """From here on, this step is the one at work."""
        if self._broken is not None:
            raise self._broken
        self.mark = (step_id, self._monotonic())

    def check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def progress(self) -> None:
        self.enter(self.mark[0])

    def stop(self) -> None:
        self._broken = StepStopped()

    def fail(self, step_id: str, error: BaseException) -> StepRaised:
        """The try has failed, even if a step further down should swallow the error that is raised for it.

        The first failure stands: what is raised after it, while it passes the other steps, came of it.
        """
        if not isinstance(self._broken, StepRaised):
            failure = StepRaised(step_id, error)
            self._broken = self._broken or failure
            return failure
        return self._broken


def pull(scope: Scope, items: Iterator[T], *, producer: str, consumer: str) -> Iterator[T]:
    """What one step yields, on its way to the step that asks for it; an error is the producer's."""
    while True:
        scope.enter(producer)
        try:
            item = next(items)
        except StopIteration:
            scope.enter(consumer)
            return
        except (StepRaised, StepStopped):
            raise
        except BaseException as error:
            # SystemExit and its kin too: the consumer may swallow what it is given, and must not seem to succeed.
            raise scope.fail(producer, error) from error
        scope.enter(consumer)
        yield item


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    ticket: object
    result: T | None
    error: BaseException | None


class _Wake:
    """Says that something besides the work wants attention."""


class Supervisor:
    """Used by one thread at a time, for one run."""

    def __init__(
        self,
        *,
        cancellation: Cancellation,
        monotonic: Callable[[], float],
        grace_s: float,
        progress: Callable[[], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Somebody who waits for the run is told of its `progress`, and asked by `check` whether they still wait."""
        self._cancellation = cancellation
        self._monotonic = monotonic
        self._grace_s = grace_s
        self._progress = progress
        self._check = check
        self._mailbox: queue.SimpleQueue[_Done[object] | _Wake] = queue.SimpleQueue()
        self._worker: _Worker | None = None
        self.has_left_work = False
        """Whether some work was abandoned, and may still be going on."""

    def __enter__(self) -> Supervisor:
        self._cancellation.add_listener(self._wake)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cancellation.remove_listener(self._wake)
        self._abandon()

    def run(self, work: Callable[[], T], scope: Scope, limits: Mapping[str, Limits]) -> T:
        """The work's result, or its error; StepTimeout, TotalTimeout or RunCancelled when it was stopped."""
        self.check_cancelled()
        ticket = self._hand_over(work)
        try:
            done = self._await(ticket, scope, limits)
        except RunCancelled:
            scope.stop()
            self._let_finish(ticket)
            raise
        except BaseException:
            # Whatever ended the wait, an interrupt too: work that nobody waits for may not go on.
            scope.stop()
            self._leave_behind()
            raise
        if done.error is not None:
            # SystemExit and its kin end the step that raised them, never the process that waits.
            raise done.error if isinstance(done.error, Exception) else StepRaised(scope.mark[0], done.error)
        return done.result  # type: ignore[return-value]  # the result of this very work

    def run_last(self, work: Callable[[], object]) -> None:
        """Give work the grace time, also when the run was cancelled; what comes of it changes nothing any more."""
        self._let_finish(self._hand_over(work))

    def sleep(self, seconds: float) -> None:
        """Pause, unless the run is cancelled meanwhile."""
        end = self._monotonic() + seconds
        while (left := end - self._monotonic()) > 0:
            self.check_cancelled()
            self._wait(left)
            self._tell_progress()
        self.check_cancelled()

    def check_cancelled(self) -> None:
        if (reason := self._cancellation.reason) is not None:
            raise RunCancelled(reason)

    def _hand_over(self, work: Callable[[], object]) -> object:
        if self._worker is None:
            self._worker = _Worker(self._mailbox)
            self._worker.start()
        ticket = object()
        self._worker.inbox.put((ticket, contextvars.copy_context(), work))
        return ticket

    def _await(self, ticket: object, scope: Scope, limits: Mapping[str, Limits]) -> _Done[object]:
        seen = scope.mark
        while True:
            done = self._wait(self._until_due(scope, limits))
            if done is not None and done.ticket is ticket:
                return done
            self.check_cancelled()
            if self._check is not None:
                self._check()
            if scope.mark is not seen:
                seen = scope.mark
                self._tell_progress()
            self._check_limits(scope, limits)

    def _wake(self) -> None:
        self._mailbox.put(_Wake())

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._progress()

    def _wait(self, seconds: float) -> _Done[object] | None:
        # Someone who waits for our progress must hear of it well within the time they allow us. And a signal that
        # comes just before this thread begins to wait does not end the wait: its handler runs when the wait is over.
        try:
            message = self._mailbox.get(timeout=max(0.0, min(seconds, _LONGEST_WAIT_S)))
        except queue.Empty:
            return None
        return message if isinstance(message, _Done) else None

    def _until_due(self, scope: Scope, limits: Mapping[str, Limits]) -> float:
        step_id, since = scope.mark
        now = self._monotonic()
        due = [limit.deadline - now for limit in limits.values() if limit.deadline is not None]
        # Another step may come to be at work at any time from now on, and nobody wakes this thread when it does.
        due += [limit.idle_s for name, limit in limits.items() if name != step_id]
        return min([since + limits[step_id].idle_s - now, *due])

    def _check_limits(self, scope: Scope, limits: Mapping[str, Limits]) -> None:
        step_id, since = scope.mark
        now = self._monotonic()
        for name, limit in limits.items():
            if limit.deadline is not None and limit.total_s is not None and now >= limit.deadline:
                raise TotalTimeout(step=name, seconds=limit.total_s)
        if now - since >= limits[step_id].idle_s:
            raise StepTimeout(step=step_id, seconds=limits[step_id].idle_s)

    def _let_finish(self, ticket: object) -> None:
        """Give work that was told to stop the time to reach a clean end, then abandon it."""
        end = self._monotonic() + self._grace_s
        while (left := end - self._monotonic()) > 0:
            done = self._wait(left)
            if done is not None and done.ticket is ticket:
                return
        self._leave_behind()

    def _leave_behind(self) -> None:
        self.has_left_work = True
        self._abandon()

    def _abandon(self) -> None:
        if self._worker is not None:
            self._worker.inbox.put(None)
            self._worker = None


class _Worker(threading.Thread):
    def __init__(self, mailbox: queue.SimpleQueue[_Done[object] | _Wake]) -> None:
        # A daemon, so that work which never returns cannot keep the process alive.
        super().__init__(name="lorchestra-worker", daemon=True)
        self.inbox: queue.SimpleQueue[tuple[object, contextvars.Context, Callable[[], object]] | None] = (
            queue.SimpleQueue()
        )
        self._mailbox = mailbox

    def run(self) -> None:
        while (order := self.inbox.get()) is not None:
            ticket, context, work = order
            try:
                done = _Done(ticket, context.run(work), None)
            except BaseException as error:  # noqa: BLE001  (handed to the waiting thread, which raises it)
                done = _Done(ticket, None, error)
            self._mailbox.put(done)
            # The order, the result and the error must not live on here until the next order comes.
            del order, work, context, ticket, done
