"""What kinds of plain values there are: only values of one kind compare, and only plain ones can be part of a key."""

from __future__ import annotations

import math


def kind_of(value: object) -> int | None:
    """The kinds in their order; None for what has no place in it."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return 1
    return 2 if isinstance(value, str) else None


def can_be_compared(value: object) -> bool:
    """Whether every backend can take it: a finite number, an integer of 64 bits, a text without half a character."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True
    return -(2**63) <= value < 2**63 if isinstance(value, int) else kind_of(value) is not None
