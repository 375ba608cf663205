"""A moment as both backends keep and give it: one text for each."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=4096)
def timestamp(value: str | datetime) -> str:
    """A time in UTC and of one width, so that times sort as texts. Raises ValueError for what is no time."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError
    try:
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        # At the ends of the calendar, a time may have no UTC.
        raise ValueError from None
    return aware.isoformat(timespec="microseconds").replace("+00:00", "Z")
