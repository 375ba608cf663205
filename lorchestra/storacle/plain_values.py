"""What kinds of plain values there are: only values of one kind compare, and only plain ones can be part of a key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import IntEnum

from lorchestra.storacle.tables import Type


class Kind(IntEnum):
    """In the order that keys have."""

    BOOL = 0
    NUMBER = 1
    TEXT = 2


KINDS: Mapping[Type, Kind] = {
    Type.BOOL: Kind.BOOL,
    Type.INT64: Kind.NUMBER,
    Type.FLOAT64: Kind.NUMBER,
    Type.STRING: Kind.TEXT,
    Type.TIMESTAMP: Kind.TEXT,
    Type.DATE: Kind.TEXT,
}
"""Of the values of a column, where its type says it."""


def kind_of(value: object) -> Kind | None:
    """None for what is no plain value."""
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) else None


def can_be_compared(value: object) -> bool:
    """Whether every backend can take it: a finite number, an integer of 64 bits, a text without half a character."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True
    return -(2**63) <= value < 2**63 if isinstance(value, int) else kind_of(value) is not None
