"""Messages between the canonizer and its processes: a length, and JSON."""

from __future__ import annotations

from typing import IO, Any

import orjson

_LENGTH = 8


def write(pipe: IO[bytes], encoded: bytes) -> None:
    pipe.write(len(encoded).to_bytes(_LENGTH))
    pipe.write(encoded)
    pipe.flush()


def read(pipe: IO[bytes]) -> Any:
    """The next message. Raises EOFError when the other side is gone."""
    length = pipe.read(_LENGTH)
    if len(length) < _LENGTH:
        raise EOFError
    encoded = pipe.read(int.from_bytes(length))
    try:
        return orjson.loads(encoded)
    except orjson.JSONDecodeError:
        raise EOFError from None
