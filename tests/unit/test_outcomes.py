from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lorchestra.clock import FixedClock
from lorchestra.execution.outcomes import Outcomes, Tries
from lorchestra.handlers.base import StepAnswer
from lorchestra.run_identity import RunIdentity
from lorchestra.schemas import ErrorRecord, RunStatus, StepOutcome, StepStatus

BEGAN = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
ERROR = ErrorRecord(type="TransientError", transient=True)
LAST = ErrorRecord(type="PermanentError")


def an_identity(attempt_n: int = 1) -> RunIdentity:
    return RunIdentity(
        run_id="01RUN",
        attempt_n=attempt_n,
        started_at=BEGAN,
        job_id="tidy",
        job_version="2.0",
        smoke_namespace=None,
        read_from=None,
        lineage=("tidy",),
        payload_sha256="0",
        code={},
        root=Path("/"),
    )


def outcomes_of(*earlier: StepOutcome, attempt_n: int = 1) -> tuple[Outcomes, FixedClock]:
    clock = FixedClock(BEGAN)
    return Outcomes(an_identity(attempt_n), clock, {outcome.step_id: outcome for outcome in earlier}), clock


def tries_of(count: int = 1, **errors: list[ErrorRecord]) -> Tries:
    return Tries(started_at=BEGAN, began_s=0.0, count=count, errors=errors)


def test_a_completed_step_keeps_what_it_counted_and_every_error_on_the_way() -> None:
    outcomes, clock = outcomes_of()
    clock.advance(5)

    answer = StepAnswer(output={"stats": {"secret": 1}}, counts={"record": 3}, digest="d1", detail={"model": "m"})
    outcomes.complete("fetch", answer, tries_of(2, fetch=[ERROR]), output_ref="private:fetch.output")

    (kept,) = outcomes.of_attempt()
    assert (kept.status, kept.tries, kept.errors, kept.error) == (StepStatus.COMPLETED, 2, (ERROR,), None)
    assert (kept.counts, kept.digest, kept.detail) == ({"record": 3}, "d1", {"model": "m"})
    assert (kept.manifest_ref, kept.output_ref) == ("01RUN/1/fetch", "private:fetch.output")
    assert (kept.started_at, kept.completed_at) == (BEGAN, clock.now())
    assert kept == StepOutcome.model_validate(kept.model_dump())


def test_a_failed_step_keeps_its_error_beside_those_before() -> None:
    outcomes, _ = outcomes_of()
    outcomes.fail("fetch", LAST, tries_of(3, fetch=[ERROR, ERROR, LAST]))

    (kept,) = outcomes.of_attempt()
    assert (kept.status, kept.error, kept.errors, kept.tries) == (StepStatus.FAILED, LAST, (ERROR, ERROR, LAST), 3)


def test_a_step_that_could_not_be_asked_has_no_manifest_and_no_tries() -> None:
    outcomes, _ = outcomes_of()
    outcomes.fail("later", LAST, tries_of(0))

    (kept,) = outcomes.of_attempt()
    assert (kept.manifest_ref, kept.tries, kept.errors) == (None, 0, (LAST,))


def test_a_step_left_open_is_recorded_only_for_its_errors() -> None:
    outcomes, _ = outcomes_of()
    tries = tries_of(2, fetch=[ERROR])

    outcomes.leave_open("fetch", tries)
    outcomes.leave_open("write", tries)

    (kept,) = outcomes.of_attempt()
    assert (kept.step_id, kept.status, kept.errors, kept.completed_at) == ("fetch", StepStatus.PENDING, (ERROR,), None)
    assert not outcomes.is_completed("fetch")


def test_outcomes_are_unrecorded_until_it_is_said_that_they_are_not() -> None:
    outcomes, _ = outcomes_of()
    outcomes.skip("first")
    assert [outcome.step_id for outcome in outcomes.unrecorded()] == ["first"]
    assert [outcome.step_id for outcome in outcomes.unrecorded()] == ["first"]

    outcomes.mark_recorded()
    outcomes.skip("second")

    assert [outcome.step_id for outcome in outcomes.unrecorded()] == ["second"]
    assert [outcome.step_id for outcome in outcomes.of_attempt()] == ["first", "second"]


@pytest.mark.parametrize("status", [StepStatus.FAILED, StepStatus.PENDING, StepStatus.RUNNING])
def test_what_did_not_complete_in_an_earlier_attempt_is_open_again(status: StepStatus) -> None:
    outcomes, _ = outcomes_of(StepOutcome(step_id="fetch", status=status), attempt_n=2)
    assert not outcomes.is_completed("fetch")
    assert outcomes.status() is RunStatus.COMPLETED


def test_what_was_settled_in_an_earlier_attempt_stays_and_is_not_recorded_again() -> None:
    done = StepOutcome(step_id="fetch", status=StepStatus.COMPLETED)
    left_out = StepOutcome(step_id="maybe", status=StepStatus.SKIPPED)
    outcomes, _ = outcomes_of(done, left_out, attempt_n=2)

    outcomes.skip("maybe")

    assert outcomes.is_completed("fetch")
    assert not outcomes.is_completed("maybe")
    assert outcomes.completed == ("fetch",)
    assert outcomes.unrecorded() == ()


@pytest.mark.parametrize(
    ("is_partial", "has_failed", "status"),
    [
        (False, False, RunStatus.COMPLETED),
        (True, False, RunStatus.PARTIAL),
        (False, True, RunStatus.PARTIAL),
        (True, True, RunStatus.PARTIAL),
    ],
)
def test_a_run_that_went_on_to_its_end_is_partial_when_anything_was_set_aside(
    is_partial: bool, has_failed: bool, status: RunStatus
) -> None:
    outcomes, _ = outcomes_of()
    outcomes.skip("maybe")
    outcomes.complete("fetch", StepAnswer(output={}, partial=is_partial), tries_of(), output_ref=None)
    if has_failed:
        outcomes.fail("other", LAST, tries_of())
    assert outcomes.status() is status


def test_a_part_set_aside_in_an_earlier_attempt_still_counts() -> None:
    outcomes, _ = outcomes_of(StepOutcome(step_id="fetch", status=StepStatus.COMPLETED, detail={"partial": True}))
    assert outcomes.status() is RunStatus.PARTIAL


def test_what_a_handler_changes_afterwards_does_not_change_the_outcome() -> None:
    outcomes, _ = outcomes_of()
    counts = {"tokens": 3}
    outcomes.complete("ask", StepAnswer(output={}, counts=counts), tries_of(), output_ref=None)
    counts["tokens"] = 9
    assert outcomes.of_attempt()[0].counts == {"tokens": 3}


def test_errors_are_counted_by_the_step_that_raised_them() -> None:
    tries = tries_of()
    assert [tries.add_error(step, ERROR) for step in ("fetch", "write", "fetch")] == [1, 1, 2]
