"""Lengths of time as people write them: `90d`, `12h`, `30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PATTERN = r"^[1-9][0-9]{0,5}[smhdw]$"
_EXPECTED = "expected a whole number and one of s, m, h, d, w, such as '90d' or '12h'"


def parse(text: str) -> timedelta:
    """Raises ValueError, which does not quote the text, for anything else."""
    if not re.fullmatch(_PATTERN, text, re.ASCII):
        raise ValueError(f"found no length of time; {_EXPECTED}")
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def render(duration: timedelta) -> str:
    """The duration in the largest unit that divides it; what `parse` reads again."""
    seconds = int(duration.total_seconds())
    for unit, name in reversed(_UNITS.items()):
        count, rest = divmod(seconds, int(timedelta(**{name: 1}).total_seconds()))
        if count and not rest:
            return f"{count}{unit}"
    return "0s"


def _of(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f"found no length of time; {_EXPECTED}")
    return parse(value)


Duration = Annotated[
    timedelta,
    PlainValidator(_of),
    PlainSerializer(render, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["90d", "12h"]}),
]
"""A timedelta that a file holds as such a text."""
