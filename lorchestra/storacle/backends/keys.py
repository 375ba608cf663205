"""The key of a row of any table as bytes, in the order that keys have: true is not 1, and 1 is 1.0."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from lorchestra.storacle.plain_values import Kind, kind_of

_SIGN = 1 << 63
_ALL = (1 << 64) - 1


def encode(values: Iterable[Any]) -> bytes | None:
    """None when one of the values is no plain one."""
    parts = []
    for value in values:
        kind = kind_of(value)
        if kind is None:
            return None
        parts.append(bytes((kind,)))
        match kind:
            case Kind.BOOL:
                parts.append(b"\x01" if value else b"\x00")
            case Kind.NUMBER:
                parts.append(_number(value))
            case Kind.TEXT:
                # Ended by a byte that sorts before every other, which is written as two where it occurs.
                parts.append(value.encode("utf-8", "surrogatepass").replace(b"\x00", b"\x00\x01") + b"\x00\x00")
    return b"".join(parts)


def _number(value: int | float) -> bytes:
    nearest = float(value) + 0.0
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest))
    # As unsigned numbers, floats are in their order when the sign is turned, and all bits of the negative ones.
    ordered = bits ^ _ALL if bits & _SIGN else bits | _SIGN
    # Integers beyond 2**53 share a float with their neighbours; how far it is off tells them apart.
    off = value - int(nearest) if isinstance(value, int) else 0
    return struct.pack(">QH", ordered, off + 0x8000)
