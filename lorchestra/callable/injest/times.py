"""Moments as people write them: an ISO date or time, or so long before now (`-7d`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

EXPECTED = "expected an ISO date or time such as '2026-11-20' or '2026-11-20T06:00:00Z', or '-7d', '-12h', '-30m'"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RELATIVE = re.compile(r"-([0-9]{1,6})([smhdw])", re.ASCII)


@dataclass(frozen=True, slots=True)
class At:
    moment: datetime

    def resolve(self, now: datetime) -> datetime:
        return self.moment


@dataclass(frozen=True, slots=True)
class Ago:
    length: timedelta

    def resolve(self, now: datetime) -> datetime:
        return now - self.length


When: TypeAlias = At | Ago


def parse(text: object) -> When:
    """Raises ValueError, which does not quote the text. What names no offset is in UTC."""
    if not isinstance(text, str):
        raise ValueError(EXPECTED)
    relative = _RELATIVE.fullmatch(text)
    if relative:
        return Ago(timedelta(**{_UNITS[relative[2]]: int(relative[1])}))
    moment = moment_of(text)
    if moment is None:
        raise ValueError(EXPECTED)
    return At(moment)


def moment_of(text: object) -> datetime | None:
    """The moment that a text in ISO 8601 names; None for anything else, also for what is beyond the calendar."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def moment_of_ms(value: Any) -> datetime | None:
    """The moment so many milliseconds after the epoch, written as a number or as text."""
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(value))
    except (TypeError, ValueError, OverflowError):
        return None


def text_of(moment: datetime) -> str:
    """The moment as text; such texts have the order of time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
