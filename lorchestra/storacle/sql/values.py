"""Casts, numbers and texts as BigQuery has them. Every function here takes values that are not NULL."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Decimal

_INTEGER = re.compile(r"\s*([+-]?)(\d+)\s*", re.ASCII)
_HEX = re.compile(r"\s*([+-]?)0[xX]([0-9A-Fa-f]+)\s*", re.ASCII)
_FLOAT = re.compile(r"\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|infinity)\s*", re.ASCII | re.IGNORECASE)


def int64(value: str | float) -> int:
    if isinstance(value, float):
        if not abs(value) < 2**63:
            raise ValueError("no INT64")
        return _in_range(int(Decimal(value).quantize(Decimal(1), rounding=ROUND_HALF_UP)))
    if isinstance(value, int):
        return value
    if found := _INTEGER.fullmatch(value):
        return _in_range(int(found[1] + found[2]))
    if found := _HEX.fullmatch(value):
        return _in_range(int(found[1] + found[2], 16))
    raise ValueError("no whole number")


def _in_range(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError("too large for INT64")
    return number


def float64(value: str | float) -> float:
    if not isinstance(value, str):
        return float(value)
    if not _FLOAT.fullmatch(value):
        raise ValueError("no number")
    number = float(value)
    if math.isinf(number) and "inf" not in value.lower():
        raise ValueError("too large for FLOAT64")
    return number


def boolean(value: str | int) -> int:
    if isinstance(value, int):
        return int(value != 0)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return int(value.lower() == "true")
    raise ValueError("neither true nor false")


def string(value: str | float) -> str:
    if isinstance(value, float):
        raise ValueError("a FLOAT64, which engines write differently")
    return str(value)


def divide(dividend: float, divisor: float) -> float:
    if divisor == 0:
        raise ValueError("division by zero")
    return dividend / divisor


def safe_divide(dividend: float, divisor: float) -> float | None:
    return None if divisor == 0 else dividend / divisor


def div(dividend: int, divisor: int) -> int:
    if divisor == 0:
        raise ValueError("division by zero")
    whole = abs(dividend) // abs(divisor)
    return _in_range(whole if (dividend < 0) == (divisor < 0) else -whole)


def mod(dividend: int, divisor: int) -> int:
    return dividend - divisor * div(dividend, divisor)


def round_half_up(value: float, digits: int = 0) -> float:
    """Halves away from zero, of the number as it is written."""
    if not abs(value) < 2**52:
        # Whole, infinite or no number at all.
        return float(value)
    return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP))


def floor(value: float) -> float:
    return float(math.floor(value)) if math.isfinite(value) else value


def ceil(value: float) -> float:
    return float(math.ceil(value)) if math.isfinite(value) else value


def trim(text: str, characters: str | None = None) -> str:
    return text.strip(characters)


def ltrim(text: str, characters: str | None = None) -> str:
    return text.lstrip(characters)


def rtrim(text: str, characters: str | None = None) -> str:
    return text.rstrip(characters)


def substr(text: str, start: int, length: int | None = None) -> str:
    if length is not None and length < 0:
        raise ValueError("a length below zero")
    first = start - 1 if start > 0 else max(len(text) + start, 0) if start < 0 else 0
    return text[first:] if length is None else text[first : first + length]
