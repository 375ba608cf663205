"""A SQLite file that several threads and processes write: its transactions, and the place where errors become ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from lorchestra.errors import StoreError
from lorchestra.run_store import files
from lorchestra.run_store.sqlite import migrations
from lorchestra.run_store.write_lock import WriteLock

Arguments = ParamSpec("Arguments")
T = TypeVar("T")

PATIENCE_S = 60.0

# By the beginning of SQLite's name for the error, most specific first.
_REASONS = (
    ("SQLITE_FULL", "the disk is full; free some space and try again"),
    ("SQLITE_IOERR", "the disk refuses; it may be full, failing, or a limit of the process (`ulimit -f`) be reached"),
    ("SQLITE_READONLY", "it is read-only"),
    ("SQLITE_CANTOPEN", "it cannot be opened; the folder has to belong to the user who runs lorchestra"),
    ("SQLITE_PERM", "permission is denied"),
    ("SQLITE_NOTADB", "it is no SQLite file; move it away, or restore it from a backup"),
    ("SQLITE_CORRUPT", "the file is damaged; move it away, or restore it from a backup"),
    ("SQLITE_BUSY", "another program keeps it locked"),
    ("SQLITE_LOCKED", "another program keeps it locked"),
    ("SQLITE_NOMEM", "there is not enough memory"),
    ("SQLITE_TOOBIG", "the value is too large"),
)


def failure(error: Exception, path: Path, doing: str) -> StoreError:
    name: str = getattr(error, "sqlite_errorname", type(error).__name__)
    if isinstance(error, UnicodeError):
        reason = "a text is not valid Unicode"
    else:
        reason = next((reason for start, reason in _REASONS if name.startswith(start)), "SQLite refuses")
    return StoreError(f"the run store cannot {doing} ({path}): {reason} [{name}]")


class Database:
    def __init__(self, path: Path, *, now: datetime) -> None:
        """Open the file, make it if it is not there, and bring its tables up to date."""
        self._path = path
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        # SQLite gives its -wal and -shm files the mode of this one.
        files.ensure_file(path)
        self._lock = WriteLock(path.with_name("write.lock"), patience_s=PATIENCE_S)
        try:
            self._lock.acquire()
            try:
                self._connect(now)
            except sqlite3.Error as error:
                raise failure(error, path, "open its file") from error
            finally:
                self._lock.release()
        except BaseException:
            if self._connection is not None:
                self._connection.close()
            self._lock.close()
            raise

    @contextlib.contextmanager
    def write(self, doing: str, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, durable at the end; rolled back when anything is raised, or without `keep`."""
        with self._mutex:
            connection = self._open_connection()
            self._lock.acquire()
            try:
                yield from self._transaction(connection, "BEGIN IMMEDIATE", doing, keep=keep)
            finally:
                self._lock.release()

    def write_one(
        self,
        doing: str,
        write: Callable[Concatenate[sqlite3.Connection, Arguments], T],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> T:
        """One statement, which is a transaction by itself: what nearly every write is, and as cheap as can be."""
        with self._mutex:
            connection = self._open_connection()
            self._lock.acquire()
            try:
                return write(connection, *args, **kwargs)
            except (sqlite3.Error, UnicodeError) as error:
                raise failure(error, self._path, doing) from error
            finally:
                self._lock.release()

    def read_one(
        self,
        doing: str,
        read: Callable[Concatenate[sqlite3.Connection, Arguments], None],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> None:
        """One statement, which has one view of the file by itself."""
        with self._mutex:
            try:
                read(self._open_connection(), *args, **kwargs)
            except (sqlite3.Error, UnicodeError) as error:
                raise failure(error, self._path, doing) from error

    @contextlib.contextmanager
    def read(self, doing: str) -> Iterator[sqlite3.Connection]:
        """One view of the file, whatever others write meanwhile."""
        with self._mutex:
            yield from self._transaction(self._open_connection(), "BEGIN", doing, keep=False)

    def close(self) -> None:
        with self._mutex:
            if self._connection is None:
                return
            connection, self._connection = self._connection, None
            try:
                # The last to close copies the log into the file and deletes it; nobody may open it just then.
                self._lock.acquire()
            finally:
                try:
                    connection.close()
                except sqlite3.Error as error:
                    raise failure(error, self._path, "close its file") from error
                finally:
                    self._lock.close()

    def _transaction(
        self, connection: sqlite3.Connection, begin: str, doing: str, *, keep: bool
    ) -> Iterator[sqlite3.Connection]:
        try:
            connection.execute(begin)
            try:
                yield connection
                if keep:
                    connection.execute("COMMIT")
            finally:
                # Also after a COMMIT that failed for want of space: the next transaction starts clean.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except (sqlite3.Error, UnicodeError) as error:
            raise failure(error, self._path, doing) from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"the run store ({self._path}) is closed")
        if os.getpid() != self._pid:
            raise StoreError(f"the run store ({self._path}) was opened before this process was forked; open it anew")
        return self._connection

    def _connect(self, now: datetime) -> None:
        connection = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        self._connection = connection
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise StoreError(f"the file system of {self._path} does not allow SQLite's WAL mode; choose a local one")
        connection.execute("PRAGMA synchronous = FULL")
        # Pages of the log. A log that starts over soon is written where it was written before, and a commit that need
        # not make the file longer takes two thirds of the time. More often, the copying costs more than that saves.
        connection.execute("PRAGMA wal_autocheckpoint = 400")
        if migrations.version_of(connection, self._path) < len(migrations.MIGRATIONS):
            connection.execute("BEGIN IMMEDIATE")
            migrations.migrate(connection, self._path, at=now)
            connection.execute("COMMIT")
            with files.guarded(self._path.parent, "sync"):
                files.sync_folder(self._path.parent)
