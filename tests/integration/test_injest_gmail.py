"""`injest` and Gmail, over HTTP, with the shipped job: what is fetched, what is asked again, where the cursor is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from lorchestra.schemas import JobDef, StepDef
from tests.google_clinic import NOON, Desk, GoogleClinic
from tests.jobs import call, run_id_of


@pytest.fixture
def clinic() -> Iterator[GoogleClinic]:
    """Its pages are short."""
    with GoogleClinic(largest_page=4) as clinic:
        yield clinic


@pytest.fixture
def desk(clinic: GoogleClinic) -> Desk:
    return Desk(clinic)


def names(*numbers: int) -> list[str]:
    return [f"m{number:04d}" for number in numbers]


def test_messages_become_raw_objects_as_the_provider_gives_them(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.receive_daily(10)

    result = desk.run()

    assert result.status == "completed"
    assert {row["external_id"]: row["payload"] for row in desk.rows()} == clinic.messages
    first = desk.rows()[0]
    assert first["idem_key"] == "gmail:gmail-acct1:email:m0001"
    assert (first["source_system"], first["connection_name"], first["object_type"]) == ("gmail", "gmail-acct1", "email")
    assert first["validation_status"] is None
    assert desk.cursor() == "2026-11-19T12:00:00.000000Z"


def test_a_second_run_changes_nothing_and_asks_for_what_may_have_come_late_alone(
    clinic: GoogleClinic, desk: Desk
) -> None:
    clinic.receive_daily(10)
    desk.run()
    before = desk.rows()
    assert clinic.fetched() == names(*range(1, 11))

    desk.run()

    [page] = clinic.listed()
    # From an hour before the cursor, and a second, for the edge.
    assert page.param("q") == f"after:{int((NOON - timedelta(days=1, hours=1)).timestamp()) - 1}"
    assert clinic.fetched() == names(10)
    assert [(row["idem_key"], row["payload"]) for row in desk.rows()] == [
        (row["idem_key"], row["payload"]) for row in before
    ]


def test_what_is_new_and_what_came_late_is_fetched_by_the_next_run(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.receive_daily(5)
    desk.run()
    clinic.fetched()
    desk.clock.day += timedelta(days=1)
    clinic.receive(90, NOON - timedelta(days=1, minutes=59))
    clinic.receive(91, NOON + timedelta(hours=3))

    desk.run()

    assert clinic.fetched() == names(5, 90, 91)
    assert desk.ids() == names(1, 2, 3, 4, 5, 90, 91)
    assert desk.cursor() == "2026-11-20T15:00:00.000000Z"


def test_a_changed_message_takes_the_place_of_the_row(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.receive_daily(3)
    desk.run()
    clinic.receive(3, NOON - timedelta(days=1), labelIds=["INBOX", "STARRED"])

    desk.run()

    assert desk.rows()[2]["payload"]["labelIds"] == ["INBOX", "STARRED"]


def test_an_empty_mailbox_is_asked_once_and_leaves_no_cursor(clinic: GoogleClinic, desk: Desk) -> None:
    assert desk.run().status == "completed"

    assert len(clinic.listed()) == 1
    assert (desk.rows(), desk.cursor()) == ([], None)


# Bounds


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"since": "2026-11-17"}, [8, 9, 10]),
        ({"since": "-3d"}, [8, 9, 10]),
        ({"since": "2026-11-17T12:00:00Z", "until": "2026-11-19T12:00:00Z"}, [8, 9]),
        ({"since": "2026-11-17T12:00:01Z", "until": "2026-11-19T12:00:01Z"}, [9, 10]),
        ({"until": "2026-11-12"}, [1, 2]),
        ({"since": "2026-11-30"}, []),
        ({"until": "-10d", "limit": 5}, []),
        ({"limit": 3}, [1, 2, 3]),
        ({"since": "2026-11-15", "limit": 2}, [6, 7]),
        ({"limit": 500}, [*range(1, 11)]),
    ],
)
def test_since_until_and_limit(clinic: GoogleClinic, desk: Desk, payload: dict[str, Any], found: list[int]) -> None:
    clinic.receive_daily(10)

    desk.run(**payload)

    assert desk.ids() == names(*found)


def test_a_limited_run_goes_on_where_the_last_one_ended(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.receive_daily(10)

    for _ in range(8):
        desk.run(limit=3)

    # An hour of overlap brings the last one again.
    assert desk.ids() == names(*range(1, 11))
    assert desk.cursor() == "2026-11-19T12:00:00.000000Z"


def test_a_limit_in_the_middle_of_a_second_does_not_move_the_cursor(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.receive(1, NOON - timedelta(days=2))
    for number in range(2, 12):
        clinic.receive(number, NOON - timedelta(days=1))

    desk.run(limit=6)

    assert len(desk.ids()) == 6
    assert desk.cursor() in (None, "2026-11-18T12:00:00.000000Z")
    desk.run()
    assert desk.ids() == names(*range(1, 12))


def test_a_backfill_does_not_move_the_cursor_over_a_gap_and_never_back(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.receive_daily(10)
    desk.run(since="2026-11-18")
    assert desk.cursor() is None
    desk.run()
    assert desk.cursor() == "2026-11-19T12:00:00.000000Z"

    desk.run(since="2026-11-01", until="2026-11-15")

    assert desk.cursor() == "2026-11-19T12:00:00.000000Z"


def test_a_first_load_begins_where_the_connection_says(clinic: GoogleClinic) -> None:
    clinic.receive_daily(10)
    desk = Desk(clinic, clinic.gmail_connection(begin=NOON - timedelta(days=3)))

    desk.run()

    assert desk.ids() == names(8, 9, 10)
    assert desk.cursor() == "2026-11-19T12:00:00.000000Z"


# Oddities of mailboxes


def test_many_messages_of_one_second_are_read_page_by_page(clinic: GoogleClinic, desk: Desk) -> None:
    for number in range(1, 12):
        clinic.receive(number, NOON - timedelta(days=1))

    desk.run()

    assert desk.ids() == names(*range(1, 12))
    assert [page for page in clinic.listed() if page.param("pageToken")]


def test_what_comes_in_and_goes_between_two_pages_is_no_trouble(clinic: GoogleClinic, desk: Desk) -> None:
    for number in range(1, 12):
        clinic.receive(number, NOON - timedelta(days=1))

    def change() -> None:
        if clinic.listed()[-1].param("pageToken") is not None and "m0099" not in clinic.messages:
            clinic.receive(99, NOON - timedelta(days=1))
            clinic.receive(0, NOON - timedelta(days=1))
            clinic.mailbox.messages.remove("m0002")

    clinic.server.faults.add(change, path="/messages$", times=100)

    desk.run()

    # The newcomer whose page had been read before it came is fetched by the next run.
    assert desk.ids() == names(0, 1, *range(3, 12))
    desk.run()
    assert desk.ids() == names(0, 1, *range(3, 12), 99)


def test_a_message_that_is_removed_after_it_was_listed_is_left_out_and_counted(
    clinic: GoogleClinic, desk: Desk
) -> None:
    clinic.receive_daily(3)
    clinic.server.faults.add(lambda: clinic.mailbox.messages.remove("m0002"), path="/messages/")
    stats: dict[str, Any] = {}
    job = desk.job("ingest_gmail_acct1")
    look = call("look", params={"stats": "@run.fetch.stats"})
    desk.lab.register(look=lambda params: stats.update(params["stats"]) or {"items": []})

    result = desk.lab.run(
        job.model_copy(update={"steps": (*job.steps, StepDef.model_validate(look))}), executor=desk.executor()
    )

    assert result.status == "completed"
    assert desk.ids() == names(1, 3)
    assert (stats["gone"], stats["requests"]) == (1, len(clinic.server.asked("/messages")))


def test_a_message_without_a_date_and_one_from_the_future_are_stored_as_they_are(
    clinic: GoogleClinic, desk: Desk
) -> None:
    clinic.receive(1, NOON - timedelta(days=1))
    clinic.receive(2, NOON + timedelta(days=900))
    clinic.receive(3, NOON, internalDate="0", payload={"mimeType": "CANARY/garbage"})

    desk.run()

    assert desk.ids() == names(1, 2, 3)
    # One that says it is of the future does not keep today's from being fetched tomorrow.
    assert desk.cursor() == "2026-11-20T12:00:00.000000Z"


def test_a_search_and_hidden_mail_are_as_the_connection_says(clinic: GoogleClinic) -> None:
    clinic.receive(1, NOON - timedelta(days=1))
    clinic.receive(2, NOON - timedelta(days=1), labelIds=["SPAM"])
    Desk(clinic).run()
    assert clinic.fetched() == names(1)
    desk = Desk(clinic, clinic.gmail_connection(query="from:a OR from:b", include_spam_trash=True))

    desk.run(since="2026-11-01")

    [page] = clinic.listed()
    assert page.param("q") == "(from:a OR from:b) after:1793491199"
    assert clinic.fetched() == names(1, 2)


# Interruptions


def in_small_batches(desk: Desk, job_id: str = "ingest_gmail_acct1") -> JobDef:
    """The shipped job, with batches so small that some have landed when it ends half-way."""
    definition = desk.job(job_id)
    fetch, plan, write = definition.steps
    plan = plan.model_copy(update={"params": {**plan.params, "batch_size": 2}})
    return definition.model_copy(update={"steps": (fetch, plan, write)})


@pytest.mark.parametrize("after", [0, 1, 7, 13, 19])
def test_a_load_that_ends_half_way_goes_on_from_its_cursor(clinic: GoogleClinic, desk: Desk, after: int) -> None:
    clinic.receive_daily(20)
    job = in_small_batches(desk)
    clinic.server.faults.refuse(400, "badRequest", path="/messages/", after=after)

    result = desk.lab.run(job, executor=desk.executor())
    assert result.status == "failed"
    landed = desk.ids()
    clinic.fetched()
    resumed = desk.lab.resume(run_id_of(result), job, executor=desk.executor())

    assert resumed.status == "completed"
    assert desk.ids() == names(*range(1, 21))
    assert desk.cursor() == "2026-11-19T12:00:00.000000Z"
    # What had landed up to the cursor is not asked for again: no more than a window and a batch.
    assert len(clinic.fetched()) <= 20 - len(landed) + 4 + 8


def test_two_runs_that_race_leave_no_gap(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.receive_daily(10)
    definition = desk.job("ingest_gmail_acct1")

    def overtake() -> None:
        clinic.receive(11, NOON - timedelta(hours=1))
        other = Desk(clinic)
        other.lab = desk.lab
        assert other.lab.run(definition.model_copy(update={"job_id": "other"}), executor=other.executor()).run_id

    clinic.server.faults.add(overtake, path="/messages/m0010")

    result = desk.run()

    # The cursor is not where this run found it, so what it believes to know does not count.
    assert result.status == "failed"
    assert desk.cursor() == "2026-11-20T11:00:00.000000Z"
    assert desk.ids() == names(*range(1, 12))
