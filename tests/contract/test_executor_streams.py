"""Items are streams: who raised what, two consumers, retries of a segment, and generators that are closed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lorchestra.callable.context import CallableContext
from lorchestra.errors import PermanentError, TransientError
from lorchestra.items import Checkpoint, Rejected
from lorchestra.schemas import RunStatus
from lorchestra.storacle.codec import Message
from tests.jobs import Lab, build, call, chain, job, keys, outcomes, retry, run_id_of, statuses, submit, visits, write

USUAL = job(call("fetch"), *write("fetch"))
REJECTED = Rejected(idem_key="visit:900", schema="visit", pointer="/minutes", rule="minimum")


def failing_after(count: int, error: BaseException) -> Iterator[dict[str, Any]]:
    yield from visits(count)
    raise error


def pass_on(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
    return {"items": context.items}


def refuse_plans(message: Message) -> None:
    if isinstance(message, dict) and message["method"] == "storacle.execute_plan":
        raise PermanentError("no plans today")


# Who is at work, and who is to blame


def test_items_are_produced_only_as_they_are_sent(lab: Lab) -> None:
    landed: list[int] = []

    def fetch() -> Iterator[dict[str, Any]]:
        for visit in visits(6):
            landed.append(len(lab.rows()))
            yield visit

    lab.register(fetch=lambda params: {"items": fetch()})
    lab.run(USUAL)

    assert landed == [0, 0, 2, 2, 4, 4]


def test_a_failure_inside_a_stream_is_the_producers(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": failing_after(5, PermanentError("the provider is gone"))})

    result = lab.run(USUAL)

    assert result.status == RunStatus.FAILED
    assert statuses(result) == {"fetch": "failed"}
    assert result.failed_steps == ("fetch",)
    assert lab.rows() == keys(visits(4))


def test_a_failure_in_the_middle_of_a_chain_is_that_steps(lab: Lab) -> None:
    def double(params: Mapping[str, Any], context: CallableContext) -> Iterator[Any]:
        for number, item in enumerate(context.items):
            if number == 2:
                raise ValueError("canary-3")
            yield item

    lab.register(
        fetch=lambda params: {"items": visits(5)}, double=lambda params, context: {"items": double(params, context)}
    )
    result = lab.run(job(call("fetch"), call("double", params={"items": "@run.fetch.items"}), *write("double")))

    assert statuses(result) == {"double": "failed"}
    assert chain(outcomes(result)["double"].error) == ["ValueError"]


def test_a_row_without_its_key_is_the_failure_of_the_plan_and_names_only_the_idem_key(lab: Lab) -> None:
    rows = [{"idem_key": "visit:001", "slot": "a"}, {"idem_key": "visit:002", "note": "canary-9"}]
    lab.register(fetch=lambda params: {"items": rows})
    plan = build("plan", "fetch", params={"method": "table.insert", "key_columns": ["slot"]})

    result = lab.run(job(call("fetch"), plan, submit("send", "plan")))

    assert statuses(result) == {"plan": "failed"}
    error = outcomes(result)["plan"].error
    assert error is not None
    assert "item 'visit:002' has no value in 'slot'" in (error.message or "")
    assert "canary-9" not in str(lab.store.get(run_id_of(result)))


def test_a_refusal_of_storacle_is_the_failure_of_the_submit(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(3)})

    result = lab.run(USUAL, executor=lab.executor(client=lab.client(refuse_plans)))

    assert statuses(result) == {"fetch_write": "failed"}
    assert result.error is not None
    assert "step 'fetch_write' failed after 1 try" in result.error


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_callable_that_swallows_the_error_of_its_input_cannot_make_the_run_succeed(
    lab: Lab, error: BaseException
) -> None:
    def swallow(context: CallableContext) -> Iterator[Any]:
        with contextlib.suppress(BaseException):
            yield from context.items

    lab.register(
        fetch=lambda params: {"items": failing_after(3, error)},
        swallow=lambda params, context: {"items": swallow(context)},
    )
    result = lab.run(job(call("fetch"), call("swallow", params={"items": "@run.fetch.items"}), *write("swallow")))

    assert result.status == RunStatus.FAILED
    assert statuses(result) == {"fetch": "failed"}
    assert chain(outcomes(result)["fetch"].error) == [type(error).__name__]


def test_a_callable_that_wraps_the_error_of_its_input_does_not_take_the_blame(lab: Lab) -> None:
    tries = []

    def fetch() -> Iterator[dict[str, Any]]:
        tries.append(1)
        yield from visits(1)
        if len(tries) == 1:
            raise TransientError("try again")

    def wrap(context: CallableContext) -> Iterator[Any]:
        try:
            yield from context.items
        except Exception as error:
            raise RuntimeError("could not read") from error

    lab.register(fetch=lambda params: {"items": fetch()}, wrap=lambda params, context: {"items": wrap(context)})
    steps = (call("fetch", retry=retry(1)), call("wrap", params={"items": "@run.fetch.items"}), *write("wrap"))
    result = lab.run(job(*steps))

    assert result.success
    assert [error.type for error in outcomes(result)["fetch"].errors] == ["lorchestra.errors.TransientError"]
    assert outcomes(result)["wrap"].errors == ()


# Generators are closed


@pytest.mark.parametrize("chained", [False, True])
def test_generators_are_closed_on_the_thread_of_the_step_when_a_later_step_fails(lab: Lab, chained: bool) -> None:
    closed_on: list[str] = []

    def fetch() -> Iterator[dict[str, Any]]:
        try:
            yield from visits(9)
        finally:
            closed_on.append(threading.current_thread().name)

    kept = fetch()  # so that nothing but the executor can be what closes it
    lab.register(fetch=lambda params: {"items": kept}, passing=pass_on)
    steps = [call("fetch"), *write("fetch")]
    if chained:
        steps = [call("fetch"), call("passing", params={"items": "@run.fetch.items"}), *write("passing")]

    result = lab.run(job(*steps), executor=lab.executor(client=lab.client(refuse_plans)))

    assert result.status == RunStatus.FAILED
    assert closed_on == ["lorchestra-worker"]


def test_an_error_while_closing_does_not_hide_the_failure(lab: Lab) -> None:
    def fetch() -> Iterator[dict[str, Any]]:
        try:
            yield from visits(9)
        finally:
            raise ValueError("while closing")

    lab.register(fetch=lambda params: {"items": fetch()})

    result = lab.run(USUAL, executor=lab.executor(client=lab.client(refuse_plans)))

    assert statuses(result) == {"fetch_write": "failed"}
    assert chain(outcomes(result)["fetch_write"].error)[0] == "lorchestra.errors.PermanentError"


def test_an_error_while_closing_a_stream_that_was_not_drained_fails_its_producer(lab: Lab) -> None:
    def fetch() -> Iterator[dict[str, Any]]:
        try:
            yield from visits(9)
        finally:
            raise ValueError("while closing")

    lab.register(
        fetch=lambda params: {"items": fetch()}, first=lambda params, context: {"items": [next(context.items)]}
    )
    result = lab.run(job(call("fetch"), call("first", params={"items": "@run.fetch.items"}), *write("first")))

    assert statuses(result) == {"fetch": "failed"}


def test_a_consumer_may_take_fewer_items_than_there_are(lab: Lab) -> None:
    lab.register(
        fetch=lambda params: {"items": iter(visits(9))},
        first=lambda params, context: {"items": [next(context.items)]},
    )
    result = lab.run(job(call("fetch"), call("first", params={"items": "@run.fetch.items"}), *write("first")))

    assert result.success
    assert lab.rows() == keys(visits(1))


# Two consumers


def two_consumers() -> tuple[dict[str, Any], ...]:
    first = build("first", "fetch", params={"table": "first"})
    second = build("second", "fetch", params={"table": "second"})
    return (call("fetch"), first, submit("write_first", "first"), second, submit("write_second", "second"))


def test_two_consumers_get_all_items_which_are_written_out_before_the_first_starts(lab: Lab) -> None:
    yielded: list[int] = []
    at_first_plan: list[int] = []

    def fetch() -> Iterator[dict[str, Any]]:
        for visit in visits(7):
            yielded.append(1)
            yield visit

    lab.register(fetch=lambda params: {"items": fetch()})
    client = lab.client(lambda message: at_first_plan.append(len(yielded)))

    result = lab.run(job(*two_consumers()), executor=lab.executor(client=client, keep_values=True))

    assert result.success
    assert lab.rows("first") == lab.rows("second") == keys(visits(7))
    assert set(at_first_plan) == {7}
    assert len(yielded) == 7
    assert len(list(lab.store.private.read_spill(run_id_of(result), "fetch.items"))) == 7


def test_rejected_items_reach_the_last_of_two_consumers_alone(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": [*visits(2), REJECTED]})

    result = lab.run(job(*two_consumers()))

    assert result.status == RunStatus.PARTIAL
    assert {row["step_id"] for row in lab.service.rows("events", "quarantine")} == {"second"}


def test_a_producer_of_two_consumers_that_fails_leaves_no_items_and_no_rows(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": failing_after(5, PermanentError("gone"))})

    result = lab.run(job(*two_consumers()))

    assert statuses(result) == {"fetch": "failed"}
    assert lab.service.effects == 0


def test_a_stream_that_nobody_takes_is_drained_and_counted(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(4)})
    assert outcomes(lab.run(job(call("fetch"))))["fetch"].counts == {"record": 4}


def test_items_spelled_out_in_the_definition_are_a_stream_too(lab: Lab) -> None:
    plan = {
        "items": visits(2),
        "method": "table.upsert",
        "dataset": "clinic",
        "table": "visits",
        "key_columns": ["idem_key"],
    }
    steps = ({"step_id": "plan", "op": "plan.build", "params": plan}, submit("send", "plan"))
    assert lab.run(job(*steps)).success
    assert lab.rows() == keys(visits(2))


# A retry runs the segment from its start


def test_a_retry_starts_the_stream_anew_and_what_landed_lands_again_without_effect(lab: Lab) -> None:
    tries: list[int] = []

    def fetch() -> Iterator[dict[str, Any]]:
        tries.append(1)
        for number, visit in enumerate(visits(6)):
            if len(tries) < 3 and number == 2 * len(tries):
                raise TransientError(f"broken off, try {len(tries)}")
            yield visit

    lab.register(fetch=lambda params: {"items": fetch()})
    result = lab.run(job(call("fetch", retry=retry(2)), *write("fetch")))

    found = outcomes(result)
    assert result.status == RunStatus.COMPLETED
    assert len(tries) == 3
    assert lab.rows() == keys(visits(6))
    assert lab.service.effects == 3
    assert found["fetch_write"].counts == {"applied": 1, "already_applied": 2}
    assert [step.tries for step in found.values()] == [3, 3, 3]
    assert [error.message for error in found["fetch"].errors] == [None, None]
    assert [error.transient for error in found["fetch"].errors] == [True, True]
    assert found["fetch"].counts == {"record": 6}


def test_a_retry_writes_the_items_for_two_consumers_anew(lab: Lab) -> None:
    tries: list[int] = []

    def fetch() -> Iterator[dict[str, Any]]:
        tries.append(1)
        yield from visits(3)
        if len(tries) == 1:
            raise TransientError("again")

    lab.register(fetch=lambda params: {"items": fetch()})
    first, *others = two_consumers()
    result = lab.run(job({**first, "retry": retry(1)}, *others))

    assert result.success
    assert lab.rows("first") == lab.rows("second") == keys(visits(3))


# Records that cannot be processed


def test_rejected_records_are_set_aside_and_the_rest_goes_on(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": [*visits(1), REJECTED, *visits(1, first=1)]})

    result = lab.run(USUAL)

    assert result.status == RunStatus.PARTIAL
    assert not result.success
    assert result.error is None
    assert lab.rows() == keys(visits(2))
    (row,) = lab.service.rows("events", "quarantine")
    assert (row["idem_key"], row["pointer"], row["rule"]) == ("visit:900", "/minutes", "minimum")


def test_on_error_fail_makes_a_rejected_record_the_failure_of_its_step(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": [*visits(2), REJECTED]})

    result = lab.run(job(call("fetch", on_error="fail", retry=retry(3)), *write("fetch")))

    assert result.status == RunStatus.FAILED
    failed = outcomes(result)["fetch"]
    assert failed.tries == 1
    assert failed.error is not None
    assert "record 'visit:900' was rejected at '/minutes' by rule 'minimum'" in (failed.error.message or "")
    assert lab.service.rows("events", "quarantine") == []


def test_of_two_consumers_the_last_stores_the_cursor_and_what_was_rejected(lab: Lab) -> None:
    first, second, third, fourth = visits(4)
    items = [
        first,
        Checkpoint(key="c", cursor=1),
        second,
        REJECTED,
        third,
        Checkpoint(key="c", cursor=3, expected=1),
        fourth,
    ]
    stored_after_first: list[Any] = []

    def look(params: Mapping[str, Any]) -> dict[str, Any]:
        stored_after_first.append(lab.service.rows("storacle", "_state"))
        return {"items": []}

    lab.register(fetch=lambda params: {"items": items}, look=look)
    result = lab.run(
        job(
            call("fetch"),
            build("one", "fetch", params={"table": "ones"}),
            submit("write_one", "one"),
            call("look"),
            build("two", "fetch", params={"table": "twos"}),
            submit("write_two", "two"),
        )
    )

    assert result.status == RunStatus.PARTIAL
    assert [len(lab.service.rows("clinic", table)) for table in ("ones", "twos")] == [4, 4]
    assert stored_after_first == [[]]
    assert [row["value"] for row in lab.service.rows("storacle", "_state")] == [3]
    assert len(lab.service.rows("events", "quarantine")) == 1
