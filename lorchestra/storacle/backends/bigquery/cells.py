"""The values of columns: as they stand in the lines of a load job, and as JSON values once they are read."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.moments import timestamp
from lorchestra.storacle.tables import Type


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, datetime):
        return timestamp(value)
    raise ValueError


def _integer(value: Any) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise ValueError


def _real(value: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
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


INWARD: Mapping[Type, Callable[[Any], Any]] = {
    Type.STRING: _text,
    Type.TIMESTAMP: timestamp,
    Type.DATE: _date,
    # As text, which leaves no doubt whether it is JSON already: the transaction parses it.
    Type.JSON: _json,
    Type.INT64: _integer,
    Type.BOOL: _flag,
    Type.FLOAT64: _real,
}
"""Raises ValueError or TypeError for what a column of the type cannot hold."""


def outward(value: Any) -> Any:
    """A JSON value of what Google's client gives."""
    match value:
        case datetime():
            return timestamp(value)
        case date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return value
