"""When a failed step is tried again. Pure: an error goes in, a decision comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from lorchestra.errors import TransientError
from lorchestra.schemas import RetryPolicy


@dataclass(frozen=True, slots=True)
class Retry:
    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    pass


Decision: TypeAlias = Retry | GiveUp


def decide(policy: RetryPolicy | None, error: BaseException, *, failures: int, random: Callable[[], float]) -> Decision:
    """What to do after the `failures`-th failure of a step. A pause the peer asked for is never cut short."""
    if policy is None or not isinstance(error, TransientError) or failures > policy.max_retries:
        return GiveUp()
    delay = min(
        policy.max_delay_seconds,
        policy.initial_delay_seconds * policy.backoff_multiplier ** (failures - 1),
    )
    if policy.jitter:
        # From half the pause to all of it: rivals spread out, and nobody comes back at once.
        delay *= 0.5 + random() / 2
    return Retry(max(delay, error.retry_after or 0.0))
