"""`injest` and Google Forms, over HTTP, with the shipped job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.google_clinic import NOON, Desk, GoogleClinic

JOB = "ingest_google_forms_intake_01"
KEY = "injest:google-forms-intake-01:responses"


@pytest.fixture
def clinic() -> Iterator[GoogleClinic]:
    """Its pages are short."""
    with GoogleClinic(largest_page=2) as clinic:
        yield clinic


@pytest.fixture
def desk(clinic: GoogleClinic) -> Desk:
    return Desk(clinic)


def submit_daily(clinic: GoogleClinic, count: int) -> None:
    for number in range(count):
        # Those with the smaller ids came last: the order of the pages says nothing of time.
        clinic.submit(count - number, NOON - timedelta(days=count - number))


def names(*numbers: int) -> list[str]:
    return [f"r{number:04d}" for number in numbers]


def test_responses_become_raw_objects_and_a_second_run_asks_for_newer_ones(clinic: GoogleClinic, desk: Desk) -> None:
    submit_daily(clinic, 5)

    assert desk.run(JOB).status == "completed"

    assert {row["external_id"]: row["payload"] for row in desk.rows()} == clinic.responses
    assert desk.rows()[0]["idem_key"] == "google_forms:google-forms-intake-01:form_response:r0001"
    assert len(clinic.listed()) == 3
    assert desk.cursor(KEY) == "2026-11-19T12:00:00.000000Z"
    before = desk.rows()
    clinic.server.requests.clear()

    desk.run(JOB)

    [page] = clinic.listed()
    assert page.param("filter") == "timestamp >= 2026-11-19T11:00:00.000000Z"
    assert [row["payload"] for row in desk.rows()] == [row["payload"] for row in before]


def test_a_response_that_is_edited_takes_the_place_of_the_row(clinic: GoogleClinic, desk: Desk) -> None:
    submit_daily(clinic, 5)
    desk.run(JOB)
    clinic.submit(5, NOON, lastSubmittedTime="2026-11-20T11:59:59.123456789Z")

    desk.run(JOB)

    assert desk.rows()[4]["payload"]["lastSubmittedTime"] == "2026-11-20T11:59:59.123456789Z"
    assert desk.cursor(KEY) == "2026-11-20T11:59:59.123456Z"


@pytest.mark.parametrize(
    ("payload", "found", "cursor"),
    [
        ({"since": "2026-11-17T12:00:00Z"}, [1, 2, 3], None),
        ({"since": "-3d", "until": "2026-11-19T12:00:00Z"}, [2, 3], None),
        ({"until": "2026-11-17"}, [4, 5], "2026-11-16T12:00:00.000000Z"),
        # With one left over, not all has been seen, and none of them need be the newest.
        ({"limit": 4}, [1, 2, 3, 4], None),
        ({"limit": 5}, [1, 2, 3, 4, 5], "2026-11-19T12:00:00.000000Z"),
    ],
)
def test_since_until_and_limit(
    clinic: GoogleClinic, desk: Desk, payload: dict[str, Any], found: list[int], cursor: str | None
) -> None:
    submit_daily(clinic, 5)

    desk.run(JOB, **payload)

    assert desk.ids() == names(*found)
    assert desk.cursor(KEY) == cursor


def test_a_run_that_ends_between_two_pages_leaves_the_cursor_where_it_was(clinic: GoogleClinic, desk: Desk) -> None:
    submit_daily(clinic, 5)
    clinic.server.faults.refuse(400, path="/responses", after=2)

    result = desk.run(JOB)

    assert result.status == "failed"
    assert desk.cursor(KEY) is None
    assert desk.resume(result, JOB).status == "completed"
    assert desk.ids() == names(1, 2, 3, 4, 5)


def test_what_changes_between_two_pages_is_stored_as_it_was_last_seen(clinic: GoogleClinic, desk: Desk) -> None:
    submit_daily(clinic, 5)

    def change() -> None:
        clinic.submit(1, NOON, lastSubmittedTime="2026-11-20T12:01:00Z")
        clinic.submit(4, NOON - timedelta(days=4), respondentEmail="canary-other@clinic.example")
        clinic.submit(9, NOON + timedelta(hours=3))

    clinic.server.faults.add(change, path="/responses", after=1)

    desk.run(JOB)
    # What was read before it changed, changed after the run began: the cursor stays there.
    assert desk.cursor(KEY) == "2026-11-20T12:00:00.000000Z"
    desk.clock.day += timedelta(days=1)
    desk.run(JOB)

    assert {row["external_id"]: row["payload"] for row in desk.rows()} == clinic.responses


def test_objects_without_an_id_and_other_garbage_are_stored_under_their_hash(desk: Desk, clinic: GoogleClinic) -> None:
    garbage = b'{"responses": [{"answers": 5}, "CANARY", null, {"responseId": "r0007", "lastSubmittedTime": "soon"}]}'
    clinic.server.faults.garble(garbage, path="/responses")

    assert desk.run(JOB).status == "completed"

    by_id = {row["external_id"]: row["payload"] for row in desk.rows()}
    assert by_id.pop("r0007") == {"responseId": "r0007", "lastSubmittedTime": "soon"}
    assert all(len(external_id) == 64 for external_id in by_id)
    assert sorted(map(str, by_id.values())) == ["CANARY", "None", "{'answers': 5}"]
    assert desk.cursor(KEY) is None
