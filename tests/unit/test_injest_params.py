"""What `injest` is asked, the moments people write, and the range that comes of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.callable.injest import asked, ranges, times
from lorchestra.callable.injest.ranges import Cursor, Range
from lorchestra.errors import DefinitionError, PermanentError
from lorchestra.items import Checkpoint

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STORED = "2026-11-10T00:00:00.000000Z"
PARAMS = {"connection": "gmail-acct1", "stream": "messages"}


def day(number: int) -> datetime:
    return datetime(2026, 11, number, tzinfo=UTC)


# Moments


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-19", day(19)),
        ("2026-11-19T06:30", datetime(2026, 11, 19, 6, 30, tzinfo=UTC)),
        ("2026-11-19T06:30:00Z", datetime(2026, 11, 19, 6, 30, tzinfo=UTC)),
        ("2026-11-19T06:30:00.5+02:00", datetime(2026, 11, 19, 4, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-11-19T06:30:00.123456789Z", datetime(2026, 11, 19, 6, 30, 0, 123_456, tzinfo=UTC)),
        ("-7d", NOW - timedelta(days=7)),
        ("-12h", NOW - timedelta(hours=12)),
        ("-30m", NOW - timedelta(minutes=30)),
        ("-90s", NOW - timedelta(seconds=90)),
        ("-2w", NOW - timedelta(weeks=2)),
    ],
)
def test_a_moment_is_an_iso_time_or_so_long_before_now(text: str, moment: datetime) -> None:
    assert times.parse(text).resolve(NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "7d", "-7", "-7y", "- 7d", "yesterday", "2026-13-01", "-\u0667d", 7, None, "-0.5d"]
)
def test_anything_else_is_no_moment(text: object) -> None:
    with pytest.raises(ValueError, match="expected an ISO date"):
        times.parse(text)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_the_texts_of_moments_have_their_order_and_are_read_again(one: datetime, other: datetime) -> None:
    texts = times.text_of(one), times.text_of(other)
    assert (texts[0] < texts[1]) == (one < other)
    assert times.moment_of(texts[0]) == one


@pytest.mark.parametrize("value", [None, "", "soon", [], {}, "9" * 40, True.__class__])
def test_what_is_no_number_of_milliseconds_is_no_moment(value: Any) -> None:
    assert times.moment_of_ms(value) is None


# Params


def test_a_stream_may_be_written_with_its_connector() -> None:
    short = asked.parse(PARAMS)
    assert asked.parse({**PARAMS, "stream": "gmail.messages"}) == short
    assert short.cursor_key == "injest:gmail-acct1:messages"


def test_the_bounds_may_stand_together_as_a_payload_has_them() -> None:
    together = asked.parse({**PARAMS, "range": {"since": "-7d", "limit": 5, "what others": "are told"}})
    assert together == asked.parse({**PARAMS, "since": "-7d", "limit": 5, "until": None})


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({}, ["'connection' is missing", "'stream' is missing"]),
        ({**PARAMS, "sinse": "-7d"}, ["no param 'sinse'", "did you mean 'since'"]),
        ({**PARAMS, "since": "CANARY"}, ["'since' is something else", "ISO date"]),
        ({**PARAMS, "limit": 0}, ["'limit'", "1 at least"]),
        ({**PARAMS, "limit": True}, ["'limit'"]),
        ({**PARAMS, "auto_since": "CANARY"}, ["'auto_since'", "true or false"]),
        ({**PARAMS, "object_type": 5}, ["'object_type'"]),
        ({**PARAMS, "range": ["CANARY"]}, ["'range'", "since, until, limit"]),
        ({**PARAMS, "range": {"since": "CANARY", "limit": "5"}}, ["'since' is something else", "'limit' is something"]),
        ({**PARAMS, "since": "-7d", "range": {"since": "-1d"}}, ["'since' stands in the params and in 'range'"]),
    ],
)
def test_every_mistake_is_told_and_no_value_quoted(params: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(DefinitionError) as refused:
        asked.parse(params)
    for words in told:
        assert words in str(refused.value)
    assert "CANARY" not in str(refused.value)


# Ranges and the cursor


def decide(
    stored: str | None = None, *, begin: datetime | None = None, **params: Any
) -> tuple[Range, tuple[Checkpoint, ...]]:
    """The range, and what the cursor says when all of it has been fetched, up to yesterday."""
    wanted = asked.parse({**PARAMS, **params})
    bounds, cursor = ranges.decide(wanted, stored, begin=begin, overlap=timedelta(days=1), now=NOW)
    return bounds, cursor.reached(day(19))


def moved(**fields: Any) -> tuple[Checkpoint, ...]:
    cursor = "2026-11-19T00:00:00.000000Z"
    return (Checkpoint(key="injest:gmail-acct1:messages", cursor=cursor, **fields),)


@pytest.mark.parametrize(
    ("params", "since", "until", "checkpoints"),
    [
        # It goes on from where it was, and a day before.
        ({"stored": STORED}, day(9), None, moved(expected=STORED)),
        ({"stored": STORED, "until": "2026-11-19"}, day(9), day(19), moved(expected=STORED)),
        # The first load.
        ({}, None, None, moved()),
        ({"begin": day(1)}, day(1), None, moved()),
        # All anew.
        ({"stored": STORED, "auto_since": False}, None, None, moved(never_back=True)),
        # A backfill that reaches to the cursor moves it; one that leaves a gap does not.
        ({"stored": STORED, "since": "2026-11-01"}, day(1), None, moved(never_back=True)),
        ({"stored": STORED, "since": "2026-11-10"}, day(10), None, moved(never_back=True)),
        ({"stored": STORED, "since": "2026-11-11"}, day(11), None, ()),
        ({"since": "2026-11-11"}, day(11), None, ()),
        ({"since": "2026-11-11", "begin": day(12)}, day(11), None, moved(never_back=True)),
        ({"since": "2026-11-13", "begin": day(12)}, day(13), None, ()),
    ],
)
def test_a_run_leaves_no_gap_behind_the_cursor(
    params: dict[str, Any], since: datetime | None, until: datetime | None, checkpoints: tuple[Checkpoint, ...]
) -> None:
    assert decide(**params) == (Range(since=since, until=until), checkpoints)


def test_the_cursor_goes_forward_only_and_not_beyond_now() -> None:
    cursor = Cursor("k", STORED, moves=True, ceiling=NOW)
    assert cursor.reached(None) == ()
    assert cursor.reached(day(9)) == ()
    assert [one.cursor for one in cursor.reached(day(11))] == ["2026-11-11T00:00:00.000000Z"]
    assert cursor.reached(day(11)) == ()
    assert [one.cursor for one in cursor.reached(day(30))] == [times.text_of(NOW)]


def test_an_overlap_longer_than_time_itself_begins_with_it() -> None:
    wanted = asked.parse(PARAMS)
    bounds, _ = ranges.decide(wanted, STORED, begin=None, overlap=timedelta(days=999_999), now=NOW)
    assert bounds.since == datetime.min.replace(tzinfo=UTC)


def test_a_range_that_ends_before_it_begins_is_refused_or_empty() -> None:
    with pytest.raises(DefinitionError, match="'since' is not before 'until'"):
        decide(since="-1d", until="-2d")
    assert decide(STORED, until="2026-11-01")[0].is_empty


def test_a_cursor_that_is_no_moment_is_not_overwritten() -> None:
    with pytest.raises(PermanentError, match="the cursor 'injest:gmail-acct1:messages' is no moment") as refused:
        decide("CANARY")
    assert "CANARY" not in str(refused.value)
