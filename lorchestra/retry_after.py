"""How long a peer asks us to wait, as its Retry-After header says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# A peer that asks for more than a day is broken or hostile: a run must not sleep for ever because of one header.
LONGEST_S = 86_400.0

_SECONDS = re.compile(r"\d{1,18}", re.ASCII)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds from `now`, never negative and at most a day; None for no header, and for one that makes no sense."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_S)
    try:
        at = parsedate_to_datetime(text)
        # HTTP dates are in GMT; "-0000" is parsed as naive and means the same.
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_S)
