import sys
import threading
import time
from collections.abc import Iterator

import pytest

from lorchestra.cancellation import Cancellation
from lorchestra.errors import RunCancelled, StepTimeout, TotalTimeout
from lorchestra.supervisor import Limits, Scope, StepRaised, StepStopped, Supervisor, pull

PATIENT = {"a": Limits(idle_s=30.0), "b": Limits(idle_s=30.0)}
SHORT = 0.05


@pytest.fixture
def cancellation() -> Cancellation:
    return Cancellation()


@pytest.fixture
def supervisor(cancellation: Cancellation) -> Iterator[Supervisor]:
    with Supervisor(cancellation=cancellation, monotonic=time.monotonic, grace_s=SHORT) as supervisor:
        yield supervisor


def scope_of(step_id: str = "a") -> Scope:
    return Scope(step_id, time.monotonic)


def test_work_is_done_on_one_thread_that_is_used_again(supervisor: Supervisor) -> None:
    idents = {supervisor.run(threading.get_ident, scope_of(), PATIENT) for _ in range(5)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_an_error_of_the_work_is_raised_as_it_is(supervisor: Supervisor) -> None:
    error = ValueError("x")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="x") as caught:
        supervisor.run(fail, scope_of(), PATIENT)
    assert caught.value is error


def test_work_that_exits_the_interpreter_only_fails_its_step(supervisor: Supervisor) -> None:
    with pytest.raises(StepRaised) as caught:
        supervisor.run(lambda: sys.exit(3), scope_of("a"), PATIENT)
    assert caught.value.step_id == "a"
    assert isinstance(caught.value.error, SystemExit)


def test_work_without_progress_is_abandoned_and_the_next_gets_a_fresh_thread(supervisor: Supervisor) -> None:
    never, scope = threading.Event(), scope_of()
    with pytest.raises(StepTimeout) as caught:
        supervisor.run(never.wait, scope, {"a": Limits(idle_s=SHORT)})
    assert caught.value.step == "a"
    assert supervisor.run(lambda: "done", scope_of(), PATIENT) == "done"
    with pytest.raises(StepStopped):
        scope.check()
    never.set()


def test_progress_starts_the_time_anew(supervisor: Supervisor) -> None:
    scope = scope_of()
    pause = threading.Event()

    def work() -> str:
        for _ in range(8):
            pause.wait(SHORT / 2)
            scope.progress()
        return "done"

    assert supervisor.run(work, scope, {"a": Limits(idle_s=SHORT * 2)}) == "done"


def test_the_total_time_is_bounded_in_spite_of_progress(supervisor: Supervisor) -> None:
    scope = scope_of()
    pause = threading.Event()

    def work() -> None:
        while True:
            pause.wait(SHORT / 10)
            scope.progress()

    limits = {"a": Limits(idle_s=30, total_s=SHORT, deadline=time.monotonic() + SHORT)}
    with pytest.raises(TotalTimeout) as caught:
        supervisor.run(work, scope, limits)
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
        supervisor.run(work, scope, PATIENT)
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
        supervisor.run(work, scope_of(), PATIENT)
    never.set()


def test_a_pause_ends_when_the_run_is_cancelled(supervisor: Supervisor, cancellation: Cancellation) -> None:
    threading.Timer(SHORT, cancellation.request, ["test"]).start()
    with pytest.raises(RunCancelled):
        supervisor.sleep(3600)


def test_what_was_cancelled_before_does_not_start(supervisor: Supervisor, cancellation: Cancellation) -> None:
    cancellation.request("test")
    with pytest.raises(RunCancelled):
        supervisor.run(lambda: pytest.fail("it started"), scope_of(), PATIENT)


def test_whoever_waits_for_progress_hears_of_it(cancellation: Cancellation) -> None:
    heard = threading.Event()
    scope = scope_of()
    with Supervisor(
        cancellation=cancellation, monotonic=time.monotonic, grace_s=SHORT, progress=heard.set
    ) as supervisor:

        def work() -> bool:
            pause = threading.Event()
            while not heard.is_set():
                scope.progress()
                pause.wait(SHORT / 10)
            return True

        assert supervisor.run(work, scope, PATIENT)


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
