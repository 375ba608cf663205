"""The file behind a journal service: JSON lines, appended under a lock, synced before anyone is answered.

A line that a crash left incomplete was never answered, and is cut off. Processes that share the file read what the
others appended before they look at anything.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

import orjson

from lorchestra.errors import ConfigurationError
from lorchestra.storacle.journal.state import State

HEADER = b'{"storacle_journal":1}\n'

Entry: TypeAlias = dict[str, Any]
Append: TypeAlias = Callable[[Callable[[], Entry]], None]


class Journal(Protocol):
    def session(self) -> AbstractContextManager[Append]:
        """Hold the state alone, up to date. What it gives makes an entry durable, or raises OSError and
        has kept nothing.
        """

    def forget(self) -> None:
        """Take the state for void, and read it all again before it is looked at."""


class NoJournal:
    """For a service whose effects end with its process."""

    @contextmanager
    def session(self) -> Iterator[Append]:
        yield lambda entry: None

    def forget(self) -> None:
        """There is nothing else that the state could be read from."""


class JournalFile:
    def __init__(self, path: Path, state: State) -> None:
        self._path = path
        self._state = state
        self._inode: int | None = None
        self._end = 0

    @contextmanager
    def session(self) -> Iterator[Append]:
        # Opened anew each time: a lock belongs to an open file, and a forked process would share this one's.
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._catch_up(fd)
            yield lambda entry: self._append(fd, entry)
        finally:
            os.close(fd)

    def forget(self) -> None:
        self._inode = None

    def _catch_up(self, fd: int) -> None:
        stat = os.fstat(fd)
        if stat.st_ino != self._inode or stat.st_size < self._end:
            # The first look, or a file that was replaced: what was known of it is void.
            self.forget()
            self._state.clear()
            self._end = 0
            self._check_header(fd)
            self._inode = stat.st_ino
        if os.fstat(fd).st_size == self._end:
            return
        # Its writer may have died before it synced; what is answered from these lines must be as durable as they.
        os.fsync(fd)
        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(self._end)
            self._replay(file)
        if os.fstat(fd).st_size > self._end:
            os.ftruncate(fd, self._end)

    def _check_header(self, fd: int) -> None:
        start = os.pread(fd, len(HEADER), 0)
        if start == HEADER:
            self._end = len(HEADER)
            return
        if not HEADER.startswith(start):
            raise ConfigurationError(f"{self._path} is not a journal of storacle; name another file, or a new one")
        # Nothing yet, or what a crash left of the first write.
        self._write(fd, HEADER)
        _sync_folder(self._path.parent)

    def _replay(self, file: IO[bytes]) -> None:
        for line in file:
            try:
                entry = orjson.loads(line) if line.endswith(b"\n") else None
            except orjson.JSONDecodeError:
                entry = None
            if entry is None:
                if file.read(1):
                    raise self._damaged()
                return
            try:
                self._state.replay(entry)
            except ValueError:
                raise self._damaged() from None
            self._end += len(line)

    def _damaged(self) -> ConfigurationError:
        return ConfigurationError(f"{self._path} is damaged at byte {self._end}; restore it from a copy")

    def _append(self, fd: int, entry: Callable[[], Entry]) -> None:
        self._write(fd, orjson.dumps(entry()) + b"\n")

    def _write(self, fd: int, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(fd, line[written:] if written else line, self._end + written)
            os.fsync(fd)
        except OSError:
            # If this fails as well, the next session finds the line: whole, and then it stands, or in part.
            with suppress(OSError):
                os.ftruncate(fd, self._end)
            raise
        self._end += len(line)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
