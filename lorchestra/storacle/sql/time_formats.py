"""The format elements of FORMAT_TIMESTAMP and PARSE_TIMESTAMP; names of months and days are English everywhere."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone

from lorchestra.storacle.sql import times

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ELEMENT = re.compile(r"%(S\.%f|E[*36]S|-d|E?[A-Za-z%])|[^%]", re.DOTALL)

WRITERS: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda at: f"{at.year:d}",
    "y": lambda at: f"{at.year % 100:02d}",
    "m": lambda at: f"{at.month:02d}",
    "d": lambda at: f"{at.day:02d}",
    "-d": lambda at: f"{at.day:2d}",
    "j": lambda at: f"{at.timetuple().tm_yday:03d}",
    "H": lambda at: f"{at.hour:02d}",
    "I": lambda at: f"{(at.hour - 1) % 12 + 1:02d}",
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "M": lambda at: f"{at.minute:02d}",
    "S": lambda at: f"{at.second:02d}",
    "S.%f": lambda at: f"{at.second:02d}.{at.microsecond:06d}",
    "E3S": lambda at: f"{at.second:02d}.{at.microsecond // 1000:03d}",
    "b": lambda at: _MONTHS[at.month - 1][:3],
    "B": lambda at: _MONTHS[at.month - 1],
    "a": lambda at: _DAYS[at.weekday()][:3],
    "A": lambda at: _DAYS[at.weekday()],
    "G": lambda at: f"{at.isocalendar().year:d}",
    "V": lambda at: f"{at.isocalendar().week:02d}",
    "%": lambda at: "%",
}
_NUMBER = r"\d{1,2}"
READERS: Mapping[str, str] = {
    "Y": r"(?P<year>\d{4})",
    "m": rf"(?P<month>{_NUMBER})",
    "d": rf"(?P<day>{_NUMBER})",
    "b": rf"(?P<named>{'|'.join(name[:3] for name in _MONTHS)})",
    "B": rf"(?P<named>{'|'.join(_MONTHS)})",
    "H": rf"(?P<hour>{_NUMBER})",
    "I": rf"(?P<hour12>{_NUMBER})",
    "p": r"(?P<half>[AaPp][Mm])",
    "M": rf"(?P<minute>{_NUMBER})",
    "S": rf"(?P<second>{_NUMBER})",
    "E*S": rf"(?P<second>{_NUMBER})(?:\.(?P<fraction>\d{{1,6}}))?",
    "Ez": r"(?P<zone>[+-]\d{2}:\d{2})",
    "z": r"(?P<zone>[+-]\d{4})",
    "%": "%",
}


class FormatError(ValueError):
    """Says which element is not known."""


def check(form: str, known: Mapping[str, object]) -> None:
    for element in _elements(form):
        if len(element) > 1 and element[1:] not in known:
            raise FormatError(f"the format element '{element}'")
    if known is READERS:
        try:
            _reader(form)
        except re.error:
            raise FormatError("a format element twice") from None


def format_time(text: str, form: str) -> str:
    at = times.read(text)
    return "".join(WRITERS[part[1:]](at) if len(part) > 1 else part for part in _elements(form))


def parse_time(form: str, text: str) -> datetime:
    found = _reader(form).fullmatch(text)
    if found is None:
        raise ValueError("not in the format")
    parts = {name: part for name, part in found.groupdict().items() if part is not None}
    month = [name[:3] for name in _MONTHS].index(parts["named"][:3].capitalize()) + 1 if "named" in parts else 1
    hour = int(parts.get("hour", 0))
    if "hour12" in parts:
        hour = int(parts["hour12"])
        if not 1 <= hour <= 12:
            raise ValueError("no hour of a half day")
        hour = hour % 12 + (12 if parts.get("half", "am").lower() == "pm" else 0)
    zone = parts.get("zone", "+0000").replace(":", "")
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    return datetime(
        int(parts.get("year", 1970)),
        int(parts.get("month", month)),
        int(parts.get("day", 1)),
        hour,
        int(parts.get("minute", 0)),
        int(parts.get("second", 0)),
        int(parts.get("fraction", "").ljust(6, "0")),
        tzinfo=timezone(-offset if zone[0] == "-" else offset) if offset else UTC,
    )


def parse_timestamp(form: str, text: str) -> str:
    return times.write(parse_time(form, text))


def parse_date(form: str, text: str) -> str:
    return parse_time(form, text).date().isoformat()


def _elements(form: str) -> Iterator[str]:
    at = 0
    while at < len(form):
        found = _ELEMENT.match(form, at)
        if found is None:
            raise FormatError("a '%' without an element")
        yield found[0]
        at = found.end()


@functools.lru_cache(maxsize=64)
def _reader(form: str) -> re.Pattern[str]:
    parts = (READERS[part[1:]] if len(part) > 1 else re.escape(part) for part in _elements(form))
    return re.compile("".join(parts), re.ASCII | re.IGNORECASE)
