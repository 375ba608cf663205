"""Records in files of each format, one at a time, as JSON values. What is not as it should be is a record as well."""

from __future__ import annotations

import base64
import csv
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import orjson

from lorchestra.callable.injest.files import json_stream
from lorchestra.callable.injest.files.json_stream import NotJSON
from lorchestra.connections.config import FileFormat
from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.json_value import JSONValue

_MAIL = b"From "


def records(path: Path, given: FileFormat | None) -> Iterator[JSONValue]:
    """Raises ConfigurationError for a file that cannot be read, PermanentError for one that goes wrong half-way."""
    chosen = given or _by_name(path)
    try:
        yield from map(_storable, _READERS[chosen](path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{path}: the file cannot be read ({reason})") from None


def _by_name(path: Path) -> FileFormat:
    try:
        return FileFormat(path.suffix.lower().removeprefix("."))
    except ValueError:
        known = ", ".join(FileFormat)
        raise ConfigurationError(f"{path}: its name does not say its format; set `format` to one of {known}") from None


def _jsonl(path: Path) -> Iterator[JSONValue]:
    """A line that is no JSON is a record, too: its text."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
            text = text.strip()
            if not text:
                continue
            try:
                yield orjson.loads(text)
            except orjson.JSONDecodeError:
                yield text.decode("utf-8", "replace")


def _json(path: Path) -> Iterator[JSONValue]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        try:
            yield from json_stream.members(file)
        except NotJSON as error:
            place = error.at
        else:
            return
    raise PermanentError(f"{path}: the file is no JSON at character {place}; what stands before it was fetched")


def _csv(path: Path) -> Iterator[JSONValue]:
    """A mapping for each row, with the names of the first row; cells beyond those are listed under ''."""
    # A cell may hold a letter with all its attachments.
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            for row in csv.DictReader(file, restkey=""):
                yield {name: cell for name, cell in row.items() if name is not None}
        except csv.Error:
            pass
        else:
            return
    raise PermanentError(f"{path}: the file is no CSV; what stands before the mistake was fetched")


def _mbox(path: Path) -> Iterator[JSONValue]:
    """Each message whole, as Gmail gives it in the format `raw`."""
    with path.open("rb") as file:
        for message in _messages(file):
            yield {"raw": base64.urlsafe_b64encode(message).decode("ascii")}


def _messages(file: BinaryIO) -> Iterator[bytes]:
    lines: list[bytes] | None = None
    was_empty = True
    for line in file:
        if was_empty and line.startswith(_MAIL):
            if lines is not None:
                yield b"".join(lines)
            lines = []
        elif lines is not None:
            lines.append(line)
        was_empty = not line.strip(b"\r\n")
    if lines is not None:
        yield b"".join(lines)


def _storable(value: JSONValue) -> JSONValue:
    """The value; where it cannot be kept as JSON (half a letter, a number of 70 bits), what Python writes for it."""
    try:
        orjson.dumps(value)
    except TypeError:
        return ascii(value)
    return value


_READERS: Mapping[FileFormat, Callable[[Path], Iterator[JSONValue]]] = {
    FileFormat.JSONL: _jsonl,
    FileFormat.JSON: _json,
    FileFormat.CSV: _csv,
    FileFormat.MBOX: _mbox,
}
