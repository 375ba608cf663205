"""The SQLite file: its connections, its transactions, and the place where its errors become ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from lorchestra.errors import ConfigurationError
from lorchestra.reporting import log
from lorchestra.storacle.backends.sqlite import migrations
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

PATIENCE_S = 60.0

_LOG = log.get_logger(__name__)
# A row of two kilobytes fills a small page by itself, and every page that is touched is written to the log.
_PAGE_BYTES = 16384
_LOG_PAGES = 1000

# By the beginning of SQLite's name for the error, most specific first.
_CODES = (
    ("SQLITE_FULL", ErrorCode.STORAGE_FULL),
    # What a full disk, or a limit of the process on the size of files, comes to be at times.
    ("SQLITE_IOERR_WRITE", ErrorCode.STORAGE_FULL),
    ("SQLITE_IOERR_TRUNCATE", ErrorCode.STORAGE_FULL),
    ("SQLITE_IOERR_SHMSIZE", ErrorCode.STORAGE_FULL),
    ("SQLITE_BUSY", ErrorCode.BUSY),
    ("SQLITE_LOCKED", ErrorCode.BUSY),
    ("SQLITE_IOERR", ErrorCode.UNAVAILABLE),
    ("SQLITE_READONLY", ErrorCode.UNAVAILABLE),
    ("SQLITE_CANTOPEN", ErrorCode.UNAVAILABLE),
    ("SQLITE_TOOBIG", ErrorCode.TOO_LARGE),
)


class Database:
    """One connection that writes and one that reads, each used by one thread at a time; in memory they are the same."""

    def __init__(self, path: Path | None, *, now: datetime, prepare: Callable[[sqlite3.Connection], None]) -> None:
        """Open the file, make it if it is not there, and bring its tables up to date; `prepare` does so with those
        that are not storacle's own.
        """
        self._path = path
        self._pid = os.getpid()
        try:
            self._write = _Connection(path)
            self._read = self._write if path is None else _Connection(path)
            with self._write.lock:
                migrations.migrate(self._write.connection, path, at=now)
                prepare(self._write.connection)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"the data file {path} cannot be opened: {_reason(error)}") from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable at the end; rolled back when anything is raised."""
        self._require_own_process()
        with self._write.lock:
            yield from _transaction(self._write.connection, "BEGIN IMMEDIATE", keep=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One view of the file, whatever others write meanwhile."""
        self._require_own_process()
        with self._read.lock:
            yield from _transaction(self._read.connection, "BEGIN", keep=False)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """As `reading`, for as long as it takes: others go on reading meanwhile, where there is a file."""
        if self._path is None:
            with self.reading() as connection:
                yield connection
            return
        self._require_own_process()
        own = _Connection(self._path)
        try:
            yield from _transaction(own.connection, "BEGIN", keep=False)
        finally:
            own.connection.close()

    def close(self) -> None:
        for one in {self._read, self._write}:
            with one.lock:
                one.connection.close()

    def _require_own_process(self) -> None:
        if os.getpid() != self._pid:
            raise ConfigurationError(f"the data file {self._path} was opened before this process was forked")


class _SqliteConnection(sqlite3.Connection):
    has_functions = False


def let_call_functions(connection: sqlite3.Connection) -> None:
    """Views, and queries that make tables, call functions that SQLite does not have by itself."""
    # Imported here because most connections never read a view.
    from lorchestra.storacle.sql import functions

    assert isinstance(connection, _SqliteConnection)
    if not connection.has_functions:
        functions.register(connection)
        connection.has_functions = True


class _Connection:
    def __init__(self, path: Path | None) -> None:
        self.lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm files the mode of this one. A file that is there is not opened: to close
            # a file that SQLite has open in this process would give back SQLite's own locks on it.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self.connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=PATIENCE_S,
            isolation_level=None,
            check_same_thread=False,
            factory=_SqliteConnection,
        )
        try:
            # Before anything about the file is changed: it may be somebody else's.
            migrations.version(self.connection, path)
            if path is not None:
                path.chmod(0o600)
            self.connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            if path is not None and not _has_log(self.connection):
                raise ConfigurationError(f"the file system of {path} does not allow SQLite's WAL mode; use a local one")
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        except BaseException:
            self.connection.close()
            raise


def _has_log(connection: sqlite3.Connection) -> bool:
    """Whether the file is in WAL mode now. SQLite does not wait for others while it changes the mode, so we do."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return bool(connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",))
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= end:
                raise
        time.sleep(0.01)


def _transaction(connection: sqlite3.Connection, begin: str, *, keep: bool) -> Iterator[sqlite3.Connection]:
    try:
        # An interrupt may come at any moment, also just after the transaction has begun.
        try:
            connection.execute(begin)
            yield connection
            if keep:
                connection.execute("COMMIT")
        finally:
            # Also after a COMMIT that failed for want of space: the next transaction starts clean.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        code = _code(error)
        if code is ErrorCode.INTERNAL:
            # Its message may quote names and values.
            _LOG.error("storacle.sqlite_error", error_name=getattr(error, "sqlite_errorname", type(error).__name__))
        raise RpcError(code) from error


def _code(error: sqlite3.Error) -> ErrorCode:
    name: str = getattr(error, "sqlite_errorname", "")
    return next((code for start, code in _CODES if name.startswith(start)), ErrorCode.INTERNAL)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    name: str = getattr(error, "sqlite_errorname", type(error).__name__)
    if isinstance(error, sqlite3.Error) and _code(error) is ErrorCode.STORAGE_FULL:
        return f"the disk is full; free some space and try again [{name}]"
    return {
        "SQLITE_NOTADB": "it is no SQLite file; move it away, or restore it from a backup [SQLITE_NOTADB]",
        "SQLITE_CORRUPT": "it is damaged; move it away, or restore it from a backup [SQLITE_CORRUPT]",
        "SQLITE_CANTOPEN": "SQLite may not open it; look at who owns it [SQLITE_CANTOPEN]",
    }.get(name, f"SQLite refuses [{name}]")
