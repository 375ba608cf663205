"""Steps that take too long, and runs that are told to stop: what was left behind cannot write any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from lorchestra.callable.context import CallableContext
from lorchestra.errors import TransientError
from lorchestra.reporting.observer import Field, RecordingObserver
from lorchestra.result import ExecutionResult
from lorchestra.schemas import RunStatus
from lorchestra.storacle import RpcClient
from lorchestra.storacle.codec import Message
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.transports import InProcessTransport, RecordingTransport
from lorchestra.supervision.cancellation import Cancellation
from tests.jobs import (
    TICK_S,
    Gate,
    HookedTransport,
    Lab,
    call,
    chain,
    job,
    keys,
    outcomes,
    retry,
    run_id_of,
    statuses,
    visits,
    wait_until,
    write,
)

USUAL = job(call("fetch"), *write("fetch"))
OWN = "lorchestra.errors."


def is_left_alone() -> bool:
    """Whether all work has ended, that which nobody waits for too."""
    return not [thread for thread in threading.enumerate() if thread.name == "lorchestra-worker"]


def on_this_thread(work: Callable[[], ExecutionResult]) -> ExecutionResult:
    return work()


def on_another_thread(work: Callable[[], ExecutionResult]) -> ExecutionResult:
    results: list[ExecutionResult] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


class BlockedOnce:
    """Holds up the first message with a method, and lets all others pass."""

    def __init__(self, gate: Gate, method: str) -> None:
        self._gate = gate
        self._method = method
        self._is_first = True

    def __call__(self, message: Message) -> None:
        if isinstance(message, dict) and message["method"] == self._method and self._is_first:
            self._is_first = False
            self._gate.wait()


# Without progress


@pytest.mark.parametrize("where", [on_this_thread, on_another_thread])
def test_a_callable_that_never_returns_fails_its_step(
    lab: Lab, where: Callable[[Callable[[], ExecutionResult]], ExecutionResult]
) -> None:
    never = threading.Event()
    lab.register(fetch=lambda params: never.wait())

    result = where(lambda: lab.run(job(call("fetch", timeout_s=TICK_S))))

    assert result.status == RunStatus.FAILED
    error = outcomes(result)["fetch"].error
    assert error is not None
    assert error.message == "step 'fetch' made no progress for 0.05 s (timeout_s)"
    never.set()


def test_the_step_that_is_at_work_is_the_one_without_progress(lab: Lab) -> None:
    never = threading.Event()

    def stall(context: CallableContext) -> Iterator[Any]:
        for item in context.items:
            never.wait()
            yield item

    lab.register(fetch=lambda params: {"items": visits(3)}, stall=lambda params, context: {"items": stall(context)})
    steps = (call("fetch"), call("stall", params={"items": "@run.fetch.items"}, timeout_s=TICK_S), *write("stall"))

    assert statuses(lab.run(job(*steps))) == {"stall": "failed"}
    never.set()


def test_a_step_without_progress_is_tried_again(lab: Lab) -> None:
    gate, tries = Gate(), []

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            gate.wait()
        return {"items": visits(2)}

    lab.register(fetch=fetch)
    result = lab.run(job(call("fetch", timeout_s=TICK_S, retry=retry(1)), *write("fetch")))

    assert result.success
    assert chain(outcomes(result)["fetch"].errors[0]) == [OWN + "StepTimeout"]
    gate.open()
    wait_until(is_left_alone)
    assert lab.rows() == keys(visits(2))


@pytest.mark.parametrize("asks", ["by yielding", "by its token"])
def test_slow_work_that_makes_progress_is_left_to_work(lab: Lab, asks: str) -> None:
    pause = threading.Event()

    def fetch(context: CallableContext) -> Iterator[dict[str, Any]]:
        for visit in visits(12):
            pause.wait(TICK_S)
            if asks == "by yielding":
                yield visit
            else:
                context.token.progress()

    lab.register(fetch=lambda params, context: {"items": fetch(context)})

    assert lab.run(job(call("fetch", timeout_s=TICK_S * 9))).success


def test_the_total_time_is_bounded_in_spite_of_progress_and_its_end_is_final(lab: Lab) -> None:
    pause = threading.Event()

    def fetch() -> Iterator[dict[str, Any]]:
        while True:
            pause.wait(TICK_S / 50)
            yield {"idem_key": "visit:001"}

    lab.register(fetch=lambda params: {"items": fetch()})
    result = lab.run(job(call("fetch", total_timeout_s=TICK_S, retry=retry(5))))

    failed = outcomes(result)["fetch"]
    assert (result.status, failed.tries, chain(failed.error)) == (RunStatus.FAILED, 1, [OWN + "TotalTimeout"])


# What was abandoned cannot write any more


def test_a_callable_that_goes_on_after_its_time_lands_no_row_and_changes_no_outcome(lab: Lab) -> None:
    gate = Gate()
    went_on: list[str] = []

    def fetch() -> Iterator[dict[str, Any]]:
        yield from visits(2)
        gate.wait()
        try:
            yield from visits(4, first=2)
        finally:
            went_on.append("closed")

    lab.register(fetch=lambda params: {"items": fetch()})
    result = lab.run(job(call("fetch", timeout_s=TICK_S), *write("fetch")))
    before = lab.store.get(run_id_of(result))

    gate.open()
    wait_until(is_left_alone)

    assert went_on == ["closed"]
    assert lab.rows() == keys(visits(2))
    assert lab.store.get(run_id_of(result)) == before
    assert statuses(result) == {"fetch": "failed"}


@pytest.mark.parametrize("method", ["storacle.execute_plan", "run.open"])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_message_that_was_held_up_until_its_step_was_over_is_refused(lab: Lab, method: str, retries: int) -> None:
    gate, tries = Gate(), []

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        tries.append(1)
        return {"items": [{"idem_key": f"try:{len(tries)}"}]}

    lab.register(fetch=fetch)
    transport = RecordingTransport(InProcessTransport(lab.service))
    client = RpcClient(HookedTransport(transport, BlockedOnce(gate, method)))
    definition = job(call("fetch"), *write("fetch", timeout_s=TICK_S, retry=retry(retries)))

    result = lab.run(definition, executor=lab.executor(client=client))
    landed = lab.rows()
    gate.open()
    wait_until(is_left_alone)

    assert result.success == bool(retries)
    assert landed == lab.rows() == (["try:2"] if retries else [])
    if method == "storacle.execute_plan":
        late = transport.exchanges[-1].response
        assert isinstance(late, dict)
        assert late["result"]["refused"]["code"] == ErrorCode.FENCED


def test_a_run_that_was_resumed_elsewhere_sends_no_data_even_when_it_claims_it_first(lab: Lab) -> None:
    gate = Gate()
    sent: list[str] = []

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        gate.wait()
        return {"items": [{"idem_key": "visit:stale"}]}

    lab.register(fetch=fetch)
    client = lab.client(lambda message: sent.append(message["method"] if isinstance(message, dict) else "batch"))
    results: list[BaseException] = []

    def run() -> None:
        try:
            lab.run(USUAL, executor=lab.executor(client=client))
        except BaseException as error:  # noqa: BLE001  (what the test asks for)
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    gate.wait_until_reached()
    (record,) = lab.runs()
    # As a process that takes the run for interrupted does it.
    lab.store.close_run(record.run_id, 1, status=RunStatus.INTERRUPTED, at=record.started_at)
    lab.store.open_attempt(record.run_id, at=record.started_at)
    gate.open()
    thread.join()
    lab.store.close_run(record.run_id, 2, status=RunStatus.INTERRUPTED, at=record.started_at)

    assert [type(error).__name__ for error in results] == ["StaleAttempt"]
    assert set(sent) <= {"run.open"}
    assert lab.rows() == []


# Cancellation


def test_a_run_that_was_cancelled_before_it_began_is_cancelled_and_can_be_resumed(lab: Lab) -> None:
    calls: list[int] = []

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        calls.append(1)
        return {"items": visits(2)}

    lab.register(fetch=fetch)
    cancellation = Cancellation()
    cancellation.request("test")

    result = lab.run(USUAL, cancellation=cancellation)

    assert (result.status, calls, statuses(result)) == (RunStatus.CANCELLED, [], {})
    assert result.error == "the run was cancelled (test)"
    assert lab.resume(result, USUAL).success
    assert lab.rows() == keys(visits(2))


def test_a_run_that_is_cancelled_during_a_stream_ends_cleanly_and_can_be_resumed(lab: Lab) -> None:
    cancellation = Cancellation()
    closed: list[int] = []

    def fetch() -> Iterator[dict[str, Any]]:
        try:
            for number, visit in enumerate(visits(8)):
                if number == 5:
                    cancellation.request("test")
                yield visit
        finally:
            closed.append(1)

    lab.register(fetch=lambda params: {"items": fetch()})
    # The thread that waits may take a moment to hear of it: nothing of that is lost, so all that is sure is the order.
    result = lab.run(job(call("fetch"), *write("fetch"), call("later", name="fetch")), cancellation=cancellation)

    assert result.status == RunStatus.CANCELLED
    assert "later" not in statuses(result)
    assert closed == [1]
    landed = lab.rows()
    assert landed == keys(visits(8))[: len(landed)]

    resumed = lab.resume(result, job(call("fetch"), *write("fetch"), call("later", name="fetch")))
    assert resumed.success
    assert lab.rows() == keys(visits(8))
    assert lab.service.effects == 4


def test_a_callable_that_asks_hears_that_the_run_was_cancelled(lab: Lab) -> None:
    cancellation = Cancellation()
    heard: list[str] = []

    def fetch(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
        cancellation.request("test")
        pause = threading.Event()
        try:
            while True:
                context.token.check()
                pause.wait(TICK_S / 50)
        except Exception as error:
            heard.append(type(error).__name__)
            raise

    lab.register(fetch=fetch)
    result = lab.run(job(call("fetch")), cancellation=cancellation)

    assert (result.status, heard) == (RunStatus.CANCELLED, ["StepStopped"])


def test_a_callable_that_does_not_hear_is_left_behind_and_cannot_write(lab: Lab) -> None:
    cancellation, gate = Cancellation(), Gate()

    def hold_up(message: Message) -> None:
        if isinstance(message, dict) and message["method"] == "storacle.execute_plan":
            cancellation.request("test")
            gate.wait()

    lab.register(fetch=lambda params: {"items": visits(2)})
    result = lab.run(USUAL, executor=lab.executor(client=lab.client(hold_up)), cancellation=cancellation)
    gate.open()
    wait_until(is_left_alone)

    assert result.status == RunStatus.CANCELLED
    assert lab.rows() == []
    assert lab.resume(result, USUAL).success
    assert lab.service.effects == 1


def test_a_run_that_is_cancelled_during_a_pause_ends_at_once_and_keeps_the_errors_so_far(lab: Lab) -> None:
    cancellation, tries = Cancellation(), []

    class CancelsTheRetry(RecordingObserver):
        def emit(self, event: str, *, error: BaseException | None = None, **fields: Field) -> None:
            if event == "step.retrying":
                threading.Timer(TICK_S / 5, cancellation.request, ["test"]).start()

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            raise TransientError(retry_after=3600)
        return {"items": visits(2)}

    lab.register(fetch=fetch)
    definition = job(call("fetch", retry=retry(3)), *write("fetch"))
    result = lab.run(definition, executor=lab.executor(observer=CancelsTheRetry()), cancellation=cancellation)

    assert (result.status, len(tries)) == (RunStatus.CANCELLED, 1)
    assert statuses(result) == {"fetch": "pending"}
    assert [error.transient for error in outcomes(result)["fetch"].errors] == [True]

    resumed = lab.resume(result, definition)
    assert resumed.success
    assert statuses(resumed) == {"fetch": "completed", "fetch_plan": "completed", "fetch_write": "completed"}


def test_a_step_that_fails_because_the_run_was_cancelled_has_not_failed(lab: Lab) -> None:
    cancellation = Cancellation()

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        cancellation.request("test")
        raise ConnectionError("the connection was closed by the same signal")

    lab.register(fetch=fetch)
    result = lab.run(job(call("fetch", continue_on_error=True), call("later", name="fetch")), cancellation=cancellation)

    assert (result.status, statuses(result)) == (RunStatus.CANCELLED, {})
