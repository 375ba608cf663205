import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

import pytest

from lorchestra.errors import RunCancelled, StepTimeout, TotalTimeout
from lorchestra.supervision.cancellation import Cancellation
from lorchestra.supervision.scope import Limits, Scope, StepRaised, StepStopped, pull
from lorchestra.supervision.supervisor import Supervisor
from lorchestra.supervision.workers import Workers

T = TypeVar("T")

PATIENT = {"a": Limits(idle_s=30.0), "b": Limits(idle_s=30.0)}
SHORT = 0.05


@pytest.fixture
def cancellation() -> Cancellation:
    return Cancellation()


supervising = partial(Supervisor, workers=Workers(), monotonic=time.monotonic, grace_s=SHORT)


@pytest.fixture
def supervisor(cancellation: Cancellation) -> Iterator[Supervisor]:
    with supervising(cancellation=cancellation) as supervisor:
        yield supervisor


def run(supervisor: Supervisor, work: Callable[[], T], scope: Scope) -> T:
    """One step's work, with nothing to write down about it."""
    shortest_s = min(min(limit.idle_s, limit.total_s or limit.idle_s) for limit in scope.limits.values())
    return supervisor.run(lambda shift: shift.attempt(work, scope), shortest_s=shortest_s)


def scope_of(step_id: str = "a", limits: Mapping[str, Limits] = PATIENT) -> Scope:
    return Scope((step_id,), time.monotonic, limits)


def test_work_is_done_on_one_thread_that_is_used_again(supervisor: Supervisor) -> None:
    idents = {run(supervisor, threading.get_ident, scope_of()) for _ in range(5)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_an_error_of_the_work_is_raised_as_it_is(supervisor: Supervisor) -> None:
    error = ValueError("x")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="x") as caught:
        run(supervisor, fail, scope_of())
    assert caught.value is error


def test_work_without_progress_is_abandoned_and_the_next_gets_a_fresh_thread(supervisor: Supervisor) -> None:
    never, scope = threading.Event(), scope_of(limits={"a": Limits(idle_s=SHORT)})
    with pytest.raises(StepTimeout) as caught:
        run(supervisor, never.wait, scope)
    assert caught.value.step == "a"
    assert run(supervisor, lambda: "done", scope_of()) == "done"
    with pytest.raises(StepStopped):
        scope.check()
    never.set()


def test_progress_starts_the_time_anew(supervisor: Supervisor) -> None:
    scope = scope_of(limits={"a": Limits(idle_s=SHORT * 2)})
    pause = threading.Event()

    def work() -> str:
        for _ in range(8):
            pause.wait(SHORT / 2)
            scope.progress()
        return "done"

    assert run(supervisor, work, scope) == "done"


def test_the_total_time_is_bounded_in_spite_of_progress(supervisor: Supervisor) -> None:
    scope = scope_of(limits={"a": Limits(idle_s=30, total_s=SHORT)})
    pause = threading.Event()

    def work() -> None:
        while True:
            pause.wait(SHORT / 10)
            scope.progress()

    with pytest.raises(TotalTimeout) as caught:
        run(supervisor, work, scope)
    assert caught.value.step == "a"


def test_a_cancellation_stops_work_that_asks(supervisor: Supervisor, cancellation: Cancellation) -> None:
    scope = scope_of()
    stopped = threading.Event()
    pause = threading.Event()

    def work() -> None:
        cancellation.request("test")
        try:
            while True:
                pause.wait(SHORT / 100)
                scope.check()
        finally:
            stopped.set()

    with pytest.raises(RunCancelled) as caught:
        run(supervisor, work, scope)
    assert caught.value.reason == "test"
    assert stopped.wait(5)


def test_a_cancellation_does_not_wait_for_work_that_never_asks(
    supervisor: Supervisor, cancellation: Cancellation
) -> None:
    never = threading.Event()

    def work() -> None:
        cancellation.request("test")
        never.wait()

    with pytest.raises(RunCancelled):
        run(supervisor, work, scope_of())
    never.set()


def test_a_pause_ends_when_the_run_is_cancelled(supervisor: Supervisor, cancellation: Cancellation) -> None:
    threading.Timer(SHORT, cancellation.request, ["test"]).start()
    with pytest.raises(RunCancelled):
        supervisor.sleep(3600)


def test_what_was_cancelled_before_does_not_start(supervisor: Supervisor, cancellation: Cancellation) -> None:
    cancellation.request("test")
    with pytest.raises(RunCancelled):
        run(supervisor, lambda: pytest.fail("it started"), scope_of())


def test_whoever_waits_for_progress_hears_of_it(cancellation: Cancellation) -> None:
    heard = threading.Event()
    scope = scope_of()
    with supervising(cancellation=cancellation, progress=heard.set) as supervisor:

        def work() -> bool:
            pause = threading.Event()
            while not heard.is_set():
                scope.progress()
                pause.wait(SHORT / 10)
            return True

        assert run(supervisor, work, scope)


def test_an_error_in_a_stream_is_the_producers() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("x")

    scope = scope_of("b")
    stream = pull(scope, items(), producer="a", consumer="b")
    assert next(stream) == 1
    with pytest.raises(StepRaised) as caught:
        next(stream)
    assert caught.value.step_id == "a"
    assert isinstance(caught.value.error, KeyError)


def test_the_step_that_is_pulled_from_is_the_one_at_work() -> None:
    scope = scope_of("b")
    at_work = []

    def items() -> Iterator[int]:
        at_work.append(scope.mark[0])
        yield 1

    at_work += [scope.mark[0] for _ in pull(scope, items(), producer="a", consumer="b")]
    assert at_work == ["a", "b"]
    assert scope.mark[0] == "b"


def test_a_consumer_that_swallows_an_error_cannot_go_on() -> None:
    def items() -> Iterator[int]:
        raise KeyError("x")
        yield 1

    scope = scope_of("b")
    with pytest.raises(StepRaised):
        next(pull(scope, items(), producer="a", consumer="b"))
    with pytest.raises(StepRaised) as caught:
        scope.check()
    assert caught.value.step_id == "a"


def test_a_stopped_scope_ends_its_streams() -> None:
    scope = scope_of("b")
    stream = pull(scope, iter(range(10)), producer="a", consumer="b")
    assert next(stream) == 0
    scope.stop()
    with pytest.raises(StepStopped):
        next(stream)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_an_exit_in_a_stream_is_the_producers_failure_too(error: BaseException) -> None:
    def items() -> Iterator[int]:
        raise error
        yield 1

    scope = scope_of("b")
    with pytest.raises(StepRaised) as caught:
        next(pull(scope, items(), producer="a", consumer="b"))
    assert (caught.value.step_id, caught.value.error) == ("a", error)


def test_the_first_failure_stands_whatever_is_raised_for_it() -> None:
    scope = scope_of("b")
    first = scope.fail("a", KeyError("x"))
    assert scope.fail("b", ValueError("could not read")) is first


def test_a_step_of_the_chain_with_little_time_is_not_waited_for_as_long_as_the_others(supervisor: Supervisor) -> None:
    never = threading.Event()
    scope = scope_of(limits={"a": Limits(idle_s=3600), "b": Limits(idle_s=SHORT)})

    def work() -> None:
        threading.Event().wait(SHORT / 5)
        scope.enter("b")
        never.wait()

    with pytest.raises(StepTimeout) as caught:
        run(supervisor, work, scope)
    assert caught.value.step == "b"
    never.set()


def test_an_interrupt_of_the_waiting_thread_stops_the_work(cancellation: Cancellation) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    never, scope = threading.Event(), scope_of()

    def work() -> None:
        scope.progress()
        never.wait()

    with supervising(cancellation=cancellation, progress=interrupt) as supervisor:
        with pytest.raises(KeyboardInterrupt):
            run(supervisor, work, scope)
        assert supervisor.has_left_work
    with pytest.raises(StepStopped):
        scope.check()
    never.set()


def test_work_for_somebody_who_waits_no_more_is_stopped(cancellation: Cancellation) -> None:
    parent, scope, never = scope_of("parent"), scope_of(limits={"a": Limits(idle_s=3600)}), threading.Event()
    with supervising(
        cancellation=cancellation,
        progress=parent.progress,
        check=parent.check,
    ) as supervisor:
        threading.Timer(SHORT, parent.stop).start()
        with pytest.raises(StepStopped):
            run(supervisor, never.wait, scope)
    never.set()


def test_last_work_is_done_in_spite_of_a_cancellation_but_not_waited_for_longer_than_the_grace(
    supervisor: Supervisor, cancellation: Cancellation
) -> None:
    done, never = threading.Event(), threading.Event()
    cancellation.request("test")

    supervisor.run_last(done.set)
    assert done.is_set()
    assert not supervisor.has_left_work

    supervisor.run_last(never.wait)
    assert supervisor.has_left_work
    never.set()
