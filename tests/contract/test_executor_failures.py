"""Failures: what is tried again, what goes on, and what callables can get wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lorchestra.errors import PermanentError, StoreError, TransientError
from lorchestra.run_store.protocol import RunStore
from lorchestra.schemas import RunStatus, StepManifest, StepOutcome, StepStatus
from lorchestra.storacle.codec import Message
from tests.jobs import (
    Lab,
    build,
    call,
    chain,
    job,
    keys,
    manifests,
    outcomes,
    retry,
    run_id_of,
    statuses,
    submit,
    visits,
    write,
)


class Flaky:
    """Raises each of the errors, one a call, and then works."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return {"items": visits(1)}


# Retry


def test_a_transient_error_is_tried_again_and_every_error_is_kept(lab: Lab) -> None:
    fetch = Flaky(TransientError("one"), TransientError("two"))
    lab.register(fetch=fetch)

    result = lab.run(job(call("fetch", retry=retry(5))))

    found = outcomes(result)["fetch"]
    assert (result.status, found.tries, fetch.calls) == (RunStatus.COMPLETED, 3, 3)
    assert [error.transient for error in found.errors] == [True, True]
    assert len({error.fingerprint for error in found.errors}) == 2
    assert found.error is None


def test_retries_come_to_an_end_and_the_last_error_is_the_cause(lab: Lab) -> None:
    lab.register(fetch=Flaky(*(TransientError(str(number)) for number in range(9))))

    result = lab.run(job(call("fetch", retry=retry(2))))

    found = outcomes(result)["fetch"]
    assert (result.status, found.status, found.tries) == (RunStatus.FAILED, StepStatus.FAILED, 3)
    assert len(found.errors) == 3
    assert found.error == found.errors[-1]
    assert result.error is not None
    assert "step 'fetch' failed after 3 tries" in result.error
    assert chain(lab.store.get(run_id_of(result)).error)[0].endswith("StepFailed")


@pytest.mark.parametrize("error", [PermanentError("no"), ValueError("no"), SystemExit(1)])
def test_other_errors_are_not_tried_again(lab: Lab, error: BaseException) -> None:
    fetch = Flaky(error)
    lab.register(fetch=fetch)

    result = lab.run(job(call("fetch", retry=retry(5))))

    assert (result.status, fetch.calls, outcomes(result)["fetch"].tries) == (RunStatus.FAILED, 1, 1)


def test_a_step_without_a_policy_has_that_of_the_job(lab: Lab) -> None:
    lab.register(fetch=Flaky(TransientError()), other=Flaky(TransientError()))

    steps = (call("fetch"), call("other", retry=retry(0)))
    result = lab.run(job(*steps, retry=retry(1)))

    assert statuses(result) == {"fetch": "completed", "other": "failed"}


def test_the_pause_grows_as_the_policy_says_and_is_as_long_as_the_peer_asks(lab: Lab) -> None:
    lab.register(fetch=Flaky(TransientError(), TransientError(), TransientError(retry_after=0.03)))
    policy = {"max_retries": 3, "initial_delay_seconds": 0.001, "backoff_multiplier": 2, "jitter": False}

    result = lab.run(job(call("fetch", retry=policy)))

    assert result.success
    assert [event["delay_s"] for event in lab.events("step.retrying")] == [0.001, 0.002, 0.03]


def test_a_retry_that_would_come_after_the_total_time_is_not_waited_for(lab: Lab) -> None:
    lab.register(fetch=Flaky(TransientError(retry_after=3600)))

    result = lab.run(job(call("fetch", retry=retry(5), total_timeout_s=600)))

    assert (result.status, outcomes(result)["fetch"].tries) == (RunStatus.FAILED, 1)
    assert chain(outcomes(result)["fetch"].error) == ["lorchestra.errors.TransientError"]


def test_the_total_time_of_any_step_of_the_segment_counts(lab: Lab) -> None:
    lab.register(fetch=Flaky(TransientError(retry_after=3600)))
    result = lab.run(job(call("fetch", retry=retry(5)), *write("fetch", total_timeout_s=600)))
    assert statuses(result) == {"fetch": "failed"}


def test_an_error_of_a_step_is_kept_when_another_step_of_the_segment_ends_the_run(lab: Lab) -> None:
    refusals: list[Message] = []

    def refuse(message: Message) -> None:
        if isinstance(message, dict) and message["method"] == "storacle.execute_plan":
            refusals.append(message)
            raise PermanentError("no")

    lab.register(fetch=Flaky(TransientError("the provider was busy")))

    executor = lab.executor(client=lab.client(refuse))
    result = lab.run(job(call("fetch", retry=retry(1)), *write("fetch")), executor=executor)

    found = outcomes(result)
    assert statuses(result) == {"fetch": "pending", "fetch_write": "failed"}
    assert [error.transient for error in found["fetch"].errors] == [True]
    assert (found["fetch"].completed_at, found["fetch_write"].tries) == (None, 2)
    assert result.failed_steps == ("fetch_write",)


# continue_on_error


def test_without_continue_on_error_the_run_stops_and_later_steps_have_no_outcome(lab: Lab) -> None:
    lab.register(fetch=Flaky(ValueError()), later=Flaky())

    result = lab.run(job(call("fetch"), call("later")))

    assert statuses(result) == {"fetch": "failed"}
    assert [manifest.step_id for manifest in manifests(lab, result)] == ["fetch"]


def test_with_continue_on_error_later_independent_steps_run_and_the_run_is_partial(lab: Lab) -> None:
    lab.register(fetch=Flaky(ValueError()), later=Flaky())

    result = lab.run(job(call("fetch", continue_on_error=True), call("later")))

    assert result.status == RunStatus.PARTIAL
    assert statuses(result) == {"fetch": "failed", "later": "completed"}
    assert result.error is None


def test_a_step_that_refers_to_one_that_failed_fails_and_was_never_asked(lab: Lab) -> None:
    later = Flaky()
    lab.register(fetch=Flaky(ValueError()), later=later)

    steps = (call("fetch", continue_on_error=True), call("later", params={"n": "@run.fetch.stats.n"}))
    result = lab.run(job(*steps))

    found = outcomes(result)["later"]
    assert result.status == RunStatus.FAILED
    assert statuses(result) == {"fetch": "failed", "later": "failed"}
    assert found.error is not None
    assert found.error.message == "step 'later' refers to step 'fetch', which did not complete"
    assert (later.calls, found.tries, found.manifest_ref) == (0, 0, None)
    assert [manifest.step_id for manifest in manifests(lab, result)] == ["fetch"]


def test_the_steps_that_pull_from_one_that_failed_fail_with_it_when_the_run_goes_on(lab: Lab) -> None:
    lab.register(fetch=Flaky(ValueError()), later=Flaky())
    plan, send = write("fetch")

    lenient = [{**step, "continue_on_error": True} for step in (call("fetch"), plan, send)]
    result = lab.run(job(*lenient, call("later")))

    assert result.status == RunStatus.PARTIAL
    assert statuses(result) == {
        "fetch": "failed",
        "fetch_plan": "failed",
        "fetch_write": "failed",
        "later": "completed",
    }
    assert [chain(outcomes(result)[step].error)[0].split(".")[-1] for step in ("fetch_plan", "fetch_write")] == [
        "UpstreamFailed",
        "UpstreamFailed",
    ]


def test_a_failure_that_may_not_be_passed_over_stops_the_run_where_it_was_felt(lab: Lab) -> None:
    lab.register(fetch=Flaky(ValueError()), later=Flaky())

    result = lab.run(job(call("fetch", continue_on_error=True), *write("fetch"), call("later")))

    assert result.status == RunStatus.FAILED
    assert statuses(result) == {"fetch": "failed", "fetch_plan": "failed", "fetch_write": "failed"}
    assert result.error is not None
    assert "step 'fetch_plan' refers to step 'fetch'" in result.error


def test_a_missing_part_of_an_output_fails_the_step_that_names_it(lab: Lab) -> None:
    lab.register(fetch=Flaky(), later=Flaky())
    result = lab.run(job(call("fetch"), call("later", params={"n": "@run.fetch.stats.nothing"})))
    assert statuses(result) == {"fetch": "completed", "later": "failed"}
    assert "@run.fetch.stats.nothing" in (result.error or "")


# What callables can get wrong


def recurse(depth: int) -> int:
    return recurse(depth + 1) + 1


def raising(error: BaseException) -> Callable[[Mapping[str, Any]], Any]:
    def execute(params: Mapping[str, Any]) -> Any:
        raise error

    return execute


def yielding_then(error: BaseException) -> Iterator[Any]:
    yield {"idem_key": "visit:001"}
    raise error


OWN = "lorchestra.errors.PermanentError"


@pytest.mark.parametrize(
    ("execute", "error_type", "message"),
    [
        (lambda params: None, OWN, "a callable returned a NoneType; a CallableResult or a mapping is expected"),
        (lambda params: [{"idem_key": "a"}], OWN, "a callable returned a list"),
        (lambda params: {"items": [], "items_ref": "x"}, OWN, "exactly one of 'items' and 'items_ref'"),
        (lambda params: {}, OWN, "exactly one of 'items' and 'items_ref'"),
        (lambda params: {"items": [], "itms": 1}, OWN, "other keys than items, items_ref, schema_version, stats"),
        (lambda params: {"items": 5}, OWN, "the 'items' of a callable's result is a int; expected an iterable"),
        (lambda params: {"items_ref": 5}, OWN, "the 'items_ref' of a callable's result is a int; expected a text"),
        (lambda params: {"items": [], "stats": [1]}, OWN, "is a list; expected a mapping"),
        (lambda params: {"items": [], "stats": {"n": {1}}}, OWN, "stats hold a value that JSON cannot represent"),
        (lambda params: {"items": "canary-4"}, OWN, "a callable yielded a str"),
        (lambda params: {"items": [["canary-4"]]}, OWN, "a callable yielded a list"),
        (lambda params: {"items": [{"idem_key": {"canary-4"}}]}, OWN, "a record holds a value that JSON cannot"),
        (lambda params: {"items": [{"idem_key": 2**80}]}, OWN, "a record holds a value that JSON cannot"),
        (lambda params: {"items_ref": "/nowhere/canary"}, "FileNotFoundError", None),
        (raising(SystemExit("canary-4")), "SystemExit", None),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt", None),
        (raising(StopIteration("canary-4")), "RuntimeError", None),
        (raising(GeneratorExit()), "GeneratorExit", None),
        (raising(MemoryError()), "MemoryError", None),
        (lambda params: {"items": yielding_then(SystemExit(4))}, "SystemExit", None),
        (lambda params: {"items": yielding_then(GeneratorExit())}, "GeneratorExit", None),
        (lambda params: {"items": yielding_then(StopIteration())}, "RuntimeError", None),
        (lambda params: {"items": range(recurse(0))}, "RecursionError", None),
        (lambda params: params["canary-4"], "KeyError", None),
    ],
)
def test_a_callable_that_goes_wrong_is_a_failed_step_with_a_record_that_helps(
    lab: Lab, execute: Callable[[Mapping[str, Any]], Any], error_type: str, message: str | None
) -> None:
    lab.register(fetch=execute)

    result = lab.run(job(call("fetch"), *write("fetch")))

    assert statuses(result) == {"fetch": "failed"}
    error = outcomes(result)["fetch"].error
    assert error is not None
    assert error.type == error_type
    assert error.raised_at
    if message is None:
        assert error.message is None
    else:
        assert message in (error.message or "")
    assert "canary-4" not in str(lab.store.get(run_id_of(result)))


def test_a_bad_line_of_an_items_file_is_named_by_its_number(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text('{"idem_key": "visit:000"}\n{"idem_key": canary-5}\n')
    lab.register(fetch=lambda params: {"items_ref": str(file)})

    result = lab.run(job(call("fetch"), *write("fetch")))

    assert statuses(result) == {"fetch": "failed"}
    assert "line 2 of the callable's items_ref is not JSON" in (result.error or "")
    assert "canary-5" not in str(lab.store.get(run_id_of(result)))


def test_the_items_of_a_file_are_a_stream_like_any_other(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text("".join(f'{{"idem_key": "{key}"}}\n' for key in keys(visits(5))))
    lab.register(fetch=lambda params: {"items_ref": str(file)})

    assert lab.run(job(call("fetch"), *write("fetch"))).success
    assert lab.rows() == keys(visits(5))


def test_an_exit_of_the_interpreter_inside_a_callable_leaves_the_executor_at_work(lab: Lab) -> None:
    lab.register(fetch=lambda params: sys.exit(3), other=Flaky())
    executor = lab.executor()

    assert lab.run(job(call("fetch")), executor=executor).status == RunStatus.FAILED
    assert lab.run(job(call("other")), executor=executor).success


# A run store that fails on the way


class FailingStore:
    """A run store that keeps nothing any more from its n-th advance on."""

    def __init__(self, inner: RunStore, *, at: int) -> None:
        self._inner = inner
        self._left = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def advance(
        self,
        run_id: str,
        attempt_n: int,
        *,
        outcomes: tuple[StepOutcome, ...] = (),
        manifests: tuple[StepManifest, ...] = (),
        **more: Any,
    ) -> None:
        # An advance that brings nothing only asks whether the attempt may write.
        self._left -= bool(outcomes or manifests)
        if self._left <= 0:
            raise StoreError("the disk is full")
        self._inner.advance(run_id, attempt_n, outcomes=outcomes, manifests=manifests, **more)


def test_a_step_whose_manifest_cannot_be_written_does_not_touch_the_data(lab: Lab) -> None:
    lab.register(first=lambda params: {"items": visits(1)}, second=lambda params: {"items": visits(1, first=7)})
    inner, lab.store = lab.store, FailingStore(lab.store, at=1)  # type: ignore[assignment]  # the rest is the inner's
    definition = job(call("first"), *write("first"), call("second"), *write("second"))

    with pytest.raises(StoreError, match="the disk is full"):
        lab.run(definition)

    lab.store = inner
    assert lab.rows() == keys(visits(1))
    (record,) = lab.runs()
    assert record.status is RunStatus.FAILED
    assert [outcome.step_id for outcome in lab.store.get(record.run_id).step_outcomes] == [
        "first",
        "first_plan",
        "first_write",
    ]

    assert lab.resume(record.run_id, definition).success
    assert lab.rows() == [*keys(visits(1)), "visit:007"]
    assert lab.service.effects == 2


def test_a_run_whose_start_cannot_be_recorded_does_nothing(lab: Lab) -> None:
    class Full(FailingStore):
        def open_run(self, *args: Any, **options: Any) -> None:
            raise StoreError("the disk is full")

    fetch = Flaky()
    lab.register(fetch=fetch)
    inner, lab.store = lab.store, Full(lab.store, at=9)  # type: ignore[assignment]  # the rest is the inner's

    with pytest.raises(StoreError, match="the disk is full"):
        lab.run(job(call("fetch", params={"day": "@payload.day"})), payload={"day": "monday"})

    lab.store = inner
    assert (fetch.calls, lab.runs()) == (0, ())


def test_an_end_that_cannot_be_recorded_reaches_the_caller(lab: Lab) -> None:
    class Full(FailingStore):
        def close_run(self, *args: Any, **options: Any) -> None:
            raise StoreError("the disk is full")

    lab.register(fetch=Flaky())
    inner, lab.store = lab.store, Full(lab.store, at=9)  # type: ignore[assignment]  # the rest is the inner's

    with pytest.raises(StoreError, match="the disk is full"):
        lab.run(job(call("fetch")))

    lab.store = inner
    (record,) = lab.runs()
    lab.store.close_run(record.run_id, 1, status=RunStatus.FAILED, at=record.started_at)


def test_items_that_cannot_be_written_out_fail_their_step_and_no_consumer_starts(lab: Lab) -> None:
    class FullPrivate:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def spill(self, run_id: str, name: str, lines: Iterator[bytes]) -> int:
            next(lines)
            raise StoreError("the disk is full")

    class Full(FailingStore):
        @property
        def private(self) -> FullPrivate:
            return FullPrivate(self._inner.private)

    lab.register(fetch=lambda params: {"items": visits(5)})
    inner, lab.store = lab.store, Full(lab.store, at=9)  # type: ignore[assignment]  # the rest is the inner's
    one, two = build("one", "fetch"), build("two", "fetch")

    result = lab.run(job(call("fetch"), one, submit("write_one", "one"), two, submit("write_two", "two")))

    lab.store = inner
    assert statuses(result) == {"fetch": "failed"}
    assert chain(outcomes(result)["fetch"].error) == ["lorchestra.errors.StoreError"]
    assert lab.service.effects == 0
