from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lorchestra.supervision.scope import Limits, Scope, StepStopped
from lorchestra.supervision.shift import Shift
from lorchestra.supervision.workers import Workers

PATIENT = {"a": Limits(idle_s=30.0)}


class Office:
    """Hands shifts to workers, and hears of their ends."""

    def __init__(self, idle_s: float = 10.0) -> None:
        self.workers = Workers(idle_s=idle_s)
        self.ended: queue.SimpleQueue[Shift[Any]] = queue.SimpleQueue()

    def begin(self, work: Callable[[Shift[Any]], object]) -> Shift[Any]:
        shift: Shift[Any] = Shift(work, on_end=self.ended.put)
        self.workers.hand_over(shift)
        return shift

    def do(self, work: Callable[[Shift[Any]], object]) -> Any:
        shift = self.begin(work)
        assert self.ended.get(timeout=5) is shift
        return shift.result()


def scope() -> Scope:
    return Scope(("a",), time.monotonic, PATIENT)


def test_stopping_waits_until_what_is_being_written_down_is_whole() -> None:
    office, writing, go_on = Office(), threading.Event(), threading.Event()
    written: list[str] = []

    def work(shift: Shift[Any]) -> None:
        shift.attempt(lambda: None, scope())
        written.append("first half")
        writing.set()
        go_on.wait()
        written.append("second half")
        shift.attempt(lambda: written.append("another step"), scope())

    shift = office.begin(work)
    assert writing.wait(5)
    seen: list[list[str]] = []
    stopper = threading.Thread(target=lambda: (shift.stop(), seen.append(list(written))))  # type: ignore[func-returns-value]
    stopper.start()
    stopper.join(0.05)
    assert stopper.is_alive()
    go_on.set()
    stopper.join(5)

    assert seen == [["first half", "second half"]] or seen == [["first half", "second half", "another step"]]
    assert office.ended.get(timeout=5) is shift


def test_nothing_of_a_stopped_shift_touches_the_run_again() -> None:
    office, at_work, go_on = Office(), threading.Event(), threading.Event()
    written: list[str] = []

    def step() -> str:
        at_work.set()
        go_on.wait()
        return "done"

    def work(shift: Shift[Any]) -> None:
        written.append(shift.attempt(step, scope()))

    shift = office.begin(work)
    assert at_work.wait(5)
    assert shift.stop()
    go_on.set()
    assert office.ended.get(timeout=5) is shift
    with pytest.raises(StepStopped):
        shift.result()
    assert written == []


def test_a_shift_is_stopped_for_a_step_only_while_that_is_at_work() -> None:
    office, at_work, go_on = Office(), queue.SimpleQueue[None](), queue.SimpleQueue[None]()

    def step() -> None:
        at_work.put(None)
        go_on.get()

    def work(shift: Shift[Any]) -> str:
        shift.attempt(step, scope())
        shift.attempt(step, scope())
        return "done"

    shift = office.begin(work)
    at_work.get(timeout=5)
    first = shift.watched
    go_on.put(None)
    at_work.get(timeout=5)
    assert not shift.stop(first)
    go_on.put(None)
    assert office.ended.get(timeout=5) is shift
    assert shift.result() == "done"


def test_what_was_stopped_before_its_worker_came_to_it_does_not_begin() -> None:
    ended: queue.SimpleQueue[Shift[Any]] = queue.SimpleQueue()
    shift: Shift[Any] = Shift(lambda shift: pytest.fail("it began"), on_end=ended.put)
    shift.stop()
    Workers().hand_over(shift)
    assert ended.get(timeout=5) is shift
    assert shift.result() is None


def test_an_idle_worker_is_used_again_and_a_busy_one_is_not() -> None:
    office, go_on = Office(), threading.Event()
    first = office.do(lambda shift: threading.get_ident())
    assert office.do(lambda shift: threading.get_ident()) == first

    busy = office.begin(lambda shift: (threading.get_ident(), go_on.wait())[0])
    assert office.do(lambda shift: threading.get_ident()) != first
    go_on.set()
    assert office.ended.get(timeout=5) is busy
    assert busy.result() == first


def test_a_worker_that_nobody_needs_ends() -> None:
    office = Office(idle_s=0.01)
    worker = office.do(lambda shift: threading.current_thread())
    worker.join(5)
    assert not worker.is_alive()
    assert office.do(lambda shift: threading.current_thread()) is not worker


def test_shifts_that_come_while_workers_end_are_all_carried_out() -> None:
    office = Office(idle_s=0.0005)
    for number in range(300):
        assert office.do(lambda shift, number=number: number) == number  # type: ignore[misc]
        time.sleep(0.0004 + number % 5 * 0.0001)


def test_a_forked_process_starts_workers_of_its_own() -> None:
    office = Office()
    office.do(lambda shift: None)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if office.do(lambda shift: "done") == "done" else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child waits for a thread that it does not have")
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0


def test_what_the_work_binds_to_its_context_ends_with_the_step() -> None:
    from contextvars import ContextVar

    mark: ContextVar[str] = ContextVar("mark", default="unset")

    def work(shift: Shift[Any]) -> str:
        shift.attempt(lambda: mark.set("by a step"), scope())
        return shift.attempt(mark.get, scope())

    mark.set("by the caller")
    assert Office().do(work) == "by the caller"
