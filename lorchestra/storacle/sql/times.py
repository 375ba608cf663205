"""Times and dates as SQL asks for them, in the one text form of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt ](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?)?"
    r"(Z|z| UTC|[+-]\d{1,2}(?::\d{1,2})?)?",
    re.ASCII,
)
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::(\d{1,2}))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")

UNITS: Mapping[str, timedelta] = {
    "MICROSECOND": _MICROSECOND,
    "MILLISECOND": timedelta(milliseconds=1),
    "SECOND": timedelta(seconds=1),
    "MINUTE": timedelta(minutes=1),
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
}
WEEKS: Mapping[str, int] = {
    "WEEK": 6,
    "ISOWEEK": 0,
    **{f"WEEK({name})": number for number, name in enumerate(_WEEKDAYS)},
}
MONTHS: Mapping[str, int] = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
DATE_PARTS = frozenset({"DAY", *WEEKS, *MONTHS})

EXTRACTS: Mapping[str, Callable[[datetime], int | str]] = {
    "YEAR": lambda at: at.year,
    "QUARTER": lambda at: (at.month + 2) // 3,
    "MONTH": lambda at: at.month,
    "ISOWEEK": lambda at: at.isocalendar().week,
    "ISOYEAR": lambda at: at.isocalendar().year,
    "DAY": lambda at: at.day,
    "DAYOFWEEK": lambda at: at.isoweekday() % 7 + 1,
    "DAYOFYEAR": lambda at: at.timetuple().tm_yday,
    "HOUR": lambda at: at.hour,
    "MINUTE": lambda at: at.minute,
    "SECOND": lambda at: at.second,
    "MILLISECOND": lambda at: at.microsecond // 1000,
    "MICROSECOND": lambda at: at.microsecond,
    "DATE": lambda at: at.date().isoformat(),
}
TIME_EXTRACTS = frozenset({"HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND", "DATE"})


def write(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read(text: str) -> datetime:
    """A time, or the midnight of a date, that is in its form already."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def timestamp(text: str) -> str:
    """A text that says a time in a way BigQuery reads, in the one form."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError("no timestamp")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    microsecond = int((found[7] or "").ljust(6, "0"))
    return write(datetime(year, month, day, hour, minute, second, microsecond, tzinfo=_zone(found[8])))


def _zone(text: str | None) -> timezone:
    found = _OFFSET.fullmatch(text or "")
    if found is None:
        return UTC
    hours, minutes = int(found[2]), int(found[3] or 0)
    if hours > 14 or minutes > 59:
        raise ValueError("no offset")
    return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if found[1] == "-" else 1))


def to_date(text: str) -> str:
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("no date")
    return date(*map(int, found.groups())).isoformat()


def timestamp_text(text: str) -> str:
    """A time as BigQuery casts it to a string: without a fraction, or with one of three or six digits."""
    whole, fraction = text[:19].replace("T", " "), text[20:26]
    if fraction == "000000":
        return f"{whole}+00"
    return f"{whole}.{fraction.removesuffix('000')}+00"


def timestamp_trunc(text: str, part: str) -> str:
    at = read(text)
    if part in UNITS:
        return write(at - (at - _EPOCH) % UNITS[part])
    return write(datetime.combine(_first_day(at.date(), part), datetime.min.time(), UTC))


def date_trunc(text: str, part: str) -> str:
    return _first_day(date.fromisoformat(text), part).isoformat()


def _first_day(day: date, part: str) -> date:
    if part in WEEKS:
        return day - timedelta(days=(day.weekday() - WEEKS[part]) % 7)
    if part in MONTHS:
        return day.replace(month=(day.month - 1) // MONTHS[part] * MONTHS[part] + 1, day=1)
    return day


def date_diff(last: str, first: str, part: str) -> int:
    """How many beginnings of the part lie between two days."""
    begin, end = _first_day(date.fromisoformat(first), part), _first_day(date.fromisoformat(last), part)
    if part in MONTHS:
        return ((end.year - begin.year) * 12 + end.month - begin.month) // MONTHS[part]
    return (end - begin).days // (7 if part in WEEKS else 1)


def timestamp_diff(last: str, first: str, part: str) -> int:
    """How many whole units lie between two times."""
    between = read(last) - read(first)
    whole = abs(between) // UNITS[part]
    return whole if between >= timedelta(0) else -whole


def timestamp_add(text: str, number: int, part: str) -> str:
    return write(read(text) + UNITS[part] * number)


def date_add(text: str, number: int, part: str) -> str:
    day = date.fromisoformat(text)
    if part not in MONTHS:
        return (day + timedelta(days=number * (7 if part == "WEEK" else 1))).isoformat()
    months = day.year * 12 + day.month - 1 + number * MONTHS[part]
    first = date(months // 12, months % 12 + 1, 1)
    length = (date(first.year + first.month // 12, first.month % 12 + 1, 1) - first).days
    return first.replace(day=min(day.day, length)).isoformat()


def extract(text: str, part: str) -> int | str:
    return EXTRACTS[part](read(text))


def unix(text: str, part: str) -> int:
    return (read(text) - _EPOCH) // UNITS[part]


def from_unix(number: int, part: str) -> str:
    return write(_EPOCH + UNITS[part] * number)
