"""How Google says that there are too many requests: not always with the status for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

_REASONS = frozenset(
    {
        "quotaExceeded",
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "RATE_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
    }
)


def is_quota(body: bytes) -> bool:
    """Whether the body of a refusal speaks of a quota that comes back, and not of a right that is missing."""
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False
    return any(reason in _REASONS for reason in _reasons(error))


def _reasons(error: Any) -> Iterator[str]:
    if not isinstance(error, dict):
        return
    said = [error.get("status")]
    for name in ("errors", "details"):
        listed = error.get(name)
        said += [one.get("reason") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    yield from (one for one in said if isinstance(one, str))
