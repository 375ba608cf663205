"""The members of a JSON array in a file, one at a time; another value is one member.

The standard library reads a text whole. This reads as much as the largest member takes, twice over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

_CHUNK = 1 << 16
_SPACE = " \t\n\r"
_ENDS = frozenset(_SPACE + ",]")
_DECODER = json.JSONDecoder()


class NotJSON(ValueError):
    """Says at which character, and quotes nothing."""

    def __init__(self, at: int) -> None:
        super().__init__(f"no JSON at character {at}")
        self.at = at


def members(file: TextIO) -> Iterator[Any]:
    text = _Text(file)
    if text.peek() != "[":
        yield text.value()
        text.require_end()
        return
    text.take()
    if text.peek() == "]":
        text.take()
    else:
        while True:
            yield text.value()
            mark = text.peek()
            if mark not in (",", "]"):
                raise NotJSON(text.at)
            text.take()
            if mark == "]":
                break
    text.require_end()


class _Text:
    """What has been read of a file and not been used."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._read = ""
        self._place = 0
        self._before = 0
        self._is_all = False

    @property
    def at(self) -> int:
        return self._before + self._place

    def peek(self) -> str:
        """The next letter that is no space, or nothing at the end."""
        while True:
            while self._place < len(self._read):
                if self._read[self._place] not in _SPACE:
                    return self._read[self._place]
                self._place += 1
            if not self._more():
                return ""

    def take(self) -> None:
        self._place += 1

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._read, self._place)
            except (ValueError, RecursionError):
                value, end = None, None
            # Without an end after it a number may go on: that of `0.5` is not `0`.
            if end is not None and (self._is_all or self._read[end : end + 1] in _ENDS):
                self._place = end
                return value
            if not self._more():
                raise NotJSON(self.at) from None

    def require_end(self) -> None:
        if self.peek():
            raise NotJSON(self.at)

    def _more(self) -> bool:
        """Read as much again as there is, so that a long value is not looked at too often."""
        if self._is_all:
            return False
        self._before += self._place
        self._read = self._read[self._place :]
        self._place = 0
        more = self._file.read(max(_CHUNK, len(self._read)))
        self._read += more
        self._is_all = not more
        return True
