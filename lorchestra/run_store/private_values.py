"""Values of a run that a resume needs, apart from its record: in a private folder a run, or in memory."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import orjson

from lorchestra.errors import StoreError
from lorchestra.json_value import JSONValue, canonical_bytes
from lorchestra.run_store import files

KEPT = "kept"
"""A value of this name says that the others of its run stay after the run has completed."""

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.]{0,199}")
_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")

# A spill is its lines and this one: how many there are, and a checksum over them.
_FOOTER = "#spill {:020d} {:08x}\n"
_FOOTER_PATTERN = re.compile(rb"#spill ([0-9]{20}) ([0-9a-f]{8})\n")
_FOOTER_BYTES = len(_FOOTER.format(0, 0))
_READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptValues:
    """What the values of one run take up, and when that last changed."""

    run_id: str
    size: int
    changed_at: datetime


class FilePrivateValues:
    """A folder a run, a file a value. A value is there as a whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, run_id: str, name: str, value: JSONValue) -> None:
        path = self._path(run_id, name)
        data = _encoded(value, name)
        files.make_folder(self._root)
        with files.Draft(path) as draft:
            draft.write(data)
            draft.keep()

    def get(self, run_id: str, name: str) -> JSONValue:
        path = self._path(run_id, name)
        with files.guarded(path, "read"):
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                raise _missing(run_id, name) from None
        return _decoded(data, run_id, name)

    def spill(self, run_id: str, name: str, lines: Iterable[bytes]) -> int:
        path = self._path(run_id, name)
        files.make_folder(self._root)
        count = checksum = 0
        with files.Draft(path) as draft:
            for line in lines:
                terminated = _terminated(line, name)
                checksum = zlib.crc32(terminated, checksum)
                count += 1
                draft.write(terminated)
            draft.write(_FOOTER.format(count, checksum).encode())
            draft.keep()
        return count

    def read_spill(self, run_id: str, name: str) -> Iterator[bytes]:
        path = self._path(run_id, name)
        # Now, not at the first line: who asks for a spill that is not there hears of it where it asks.
        with _opened(path, run_id, name) as file:
            _read_footer(file, run_id, name)
        return _lines(path, run_id, name)

    def remove(self, run_id: str) -> None:
        folder = self._folder(run_id)
        if not os.path.lexists(folder):
            return
        with files.guarded(folder, "remove"), contextlib.suppress(FileNotFoundError):
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            folder.rmdir()

    def run_ids(self) -> tuple[str, ...]:
        """The runs that have values."""
        with files.guarded(self._root, "look into"):
            try:
                names = [path.name for path in self._root.iterdir()]
            except FileNotFoundError:
                return ()
        return tuple(sorted(name for name in names if _RUN_ID.fullmatch(name)))

    def is_kept(self, run_id: str) -> bool:
        """Whether the run's values are to stay when they are needed no more."""
        return self._path(run_id, KEPT).exists()

    def kept(self) -> Iterator[KeptValues]:
        """What the values of each run take up."""
        for run_id in self.run_ids():
            # Another process may be removing them just now.
            with files.guarded(self._root, "look into"), contextlib.suppress(FileNotFoundError):
                yield _measured(self._root / run_id)

    def _folder(self, run_id: str) -> Path:
        _check(run_id, name="x")
        return self._root / run_id

    def _path(self, run_id: str, name: str) -> Path:
        _check(run_id, name)
        return self._root / run_id / name


class InMemoryPrivateValues:
    """The same promises, as long as the process lives."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, bytes | tuple[bytes, ...]]] = {}
        self._mutex = threading.Lock()

    def put(self, run_id: str, name: str, value: JSONValue) -> None:
        _check(run_id, name)
        self._set(run_id, name, _encoded(value, name))

    def get(self, run_id: str, name: str) -> JSONValue:
        _check(run_id, name)
        data = self._values.get(run_id, {}).get(name)
        if data is None:
            raise _missing(run_id, name)
        if not isinstance(data, bytes):
            raise _damaged(run_id, name)
        return _decoded(data, run_id, name)

    def spill(self, run_id: str, name: str, lines: Iterable[bytes]) -> int:
        _check(run_id, name)
        kept = tuple(_terminated(line, name)[:-1] for line in lines)
        self._set(run_id, name, kept)
        return len(kept)

    def read_spill(self, run_id: str, name: str) -> Iterator[bytes]:
        _check(run_id, name)
        lines = self._values.get(run_id, {}).get(name)
        if lines is None:
            raise _missing(run_id, name)
        if isinstance(lines, bytes):
            raise _damaged(run_id, name)
        return iter(lines)

    def remove(self, run_id: str) -> None:
        _check(run_id, name="x")
        with self._mutex:
            self._values.pop(run_id, None)

    def size(self, run_id: str) -> int:
        values = self._values.get(run_id, {}).values()
        return sum(len(value) if isinstance(value, bytes) else sum(map(len, value)) for value in values)

    def _set(self, run_id: str, name: str, data: bytes | tuple[bytes, ...]) -> None:
        with self._mutex:
            self._values.setdefault(run_id, {})[name] = data


def _check(run_id: str, name: str) -> None:
    # Both become names of files: nothing that leads out of the folder, or to a draft.
    if not _RUN_ID.fullmatch(run_id):
        raise StoreError("a run id for private values has other characters than letters, digits, '-' and '_'")
    if not _NAME.fullmatch(name):
        raise StoreError("a private value's name has other characters than a-z, 0-9, '_' and '.', or is too long")


def _encoded(value: JSONValue, name: str) -> bytes:
    try:
        return canonical_bytes(value)
    except TypeError:
        # Without the cause: what a foreign mapping says of itself may hold values.
        raise StoreError(f"the private value '{name}' holds something that JSON cannot represent") from None


def _decoded(data: bytes, run_id: str, name: str) -> JSONValue:
    try:
        value: JSONValue = orjson.loads(data)
    except orjson.JSONDecodeError:
        # Without the cause: it carries the document, and with it the values.
        raise _damaged(run_id, name) from None
    return value


def _terminated(line: bytes, name: str) -> bytes:
    if b"\n" in line:
        raise StoreError(f"a line of the spill '{name}' holds a line break")
    return line + b"\n"


@contextlib.contextmanager
def _opened(path: Path, run_id: str, name: str) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb", buffering=_READ_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(run_id, name) from None
    except OSError as error:
        raise files.failure(error, path, "read") from error
    with file:
        yield file


def _read_footer(file: BinaryIO, run_id: str, name: str) -> tuple[int, int, int]:
    """Count, checksum, and the size of the lines. The file is at its start afterwards."""
    with files.guarded(Path(file.name), "read"):
        size = file.seek(0, os.SEEK_END) - _FOOTER_BYTES
        file.seek(max(0, size))
        footer = _FOOTER_PATTERN.fullmatch(file.read())
        file.seek(0)
    if footer is None:
        raise _damaged(run_id, name)
    return int(footer[1]), int(footer[2], 16), size


def _lines(path: Path, run_id: str, name: str) -> Iterator[bytes]:
    with _opened(path, run_id, name) as file:
        expected_count, expected_checksum, left = _read_footer(file, run_id, name)
        count = checksum = 0
        while left > 0:
            try:
                lines = file.readlines(min(left, _READ_BYTES))
            except OSError as error:
                raise files.failure(error, path, "read") from error
            if not lines:
                raise _damaged(run_id, name)
            block = b"".join(lines)
            if len(block) > left:  # the footer came along
                lines.pop()
                block = block[:left]
            left -= len(block)
            count += len(lines)
            checksum = zlib.crc32(block, checksum)
            if left == 0 and (count, checksum) != (expected_count, expected_checksum):
                raise _damaged(run_id, name)
            yield from (line[:-1] for line in lines)
        if count != expected_count:
            raise _damaged(run_id, name)


def _measured(folder: Path) -> KeptValues:
    return KeptValues(
        run_id=folder.name,
        size=sum(path.stat().st_size for path in folder.iterdir()),
        changed_at=datetime.fromtimestamp(folder.stat().st_mtime, UTC),
    )


def _missing(run_id: str, name: str) -> StoreError:
    return StoreError(f"run {run_id} has no private value '{name}'; values are removed once a run is complete")


def _damaged(run_id: str, name: str) -> StoreError:
    return StoreError(f"the private value '{name}' of run {run_id} is damaged or cut off")
