"""What an unquoted word of YAML means: the core schema of YAML 1.2, with the numbers that canonical JSON can hold."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

Scalar: TypeAlias = bool | int | float | str | None

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LEADING_ZEROS = re.compile(r"^([-+]?)(?:0[ox])?0*(?=.)")
# An integer of 64 bits has 22 digits at most, in base 8; Python refuses to read one of thousands.
_DIGITS = 24


class NotJSON(ValueError):
    """A number that JSON, as we write it, cannot hold."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}; {expected}")
        self.found = found
        self.expected = expected


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises NotJSON for NaN, infinity, and integers beyond 64 bits."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "-+.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise NotJSON("found a number that is too large", "expected a finite number")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise NotJSON(f"found {text}", "expected a finite number")
    return text


def quoted(text: str) -> str:
    """Text of a definition as a message shows it: in quotes, on one line, about 60 characters at most."""
    return repr(shortened(text))


def shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    significant = _LEADING_ZEROS.sub(r"\1", text)
    if len(significant) <= _DIGITS:
        number = int(significant, base)
        if -(2**63) <= number < 2**64:
            return number
    raise NotJSON("found a whole number beyond 64 bits", "expected a smaller one")
