"""What a column of each type takes, in the one form in which both backends keep it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.moments import timestamp
from lorchestra.storacle.tables import Type

Cell: TypeAlias = str | int | float


def _text(value: Any) -> str:
    if isinstance(value, str):
        # A member of an enum is a text, and databases want a plain one.
        return str.__str__(value)
    if isinstance(value, datetime):
        return timestamp(value)
    raise ValueError


def _integer(value: Any) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise ValueError


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError
    try:
        real = float(value)
    except OverflowError:
        raise ValueError from None
    if math.isfinite(real):
        return real
    raise ValueError


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise ValueError


def _date(value: Any) -> str:
    if isinstance(value, str):
        value = date.fromisoformat(value)
    if type(value) is not date:
        raise ValueError
    return value.isoformat()


def _json(value: Any) -> str:
    return canonical_bytes(value).decode()


INWARD: Mapping[Type, Callable[[Any], Cell]] = {
    Type.STRING: _text,
    Type.TIMESTAMP: timestamp,
    Type.DATE: _date,
    # As text, which leaves no doubt whether it is JSON already.
    Type.JSON: _json,
    Type.INT64: _integer,
    Type.BOOL: _flag,
    Type.FLOAT64: _real,
}
"""Of a value that is not null. Raises ValueError or TypeError for what a column of the type cannot hold."""
