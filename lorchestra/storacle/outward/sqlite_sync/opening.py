"""How the file of a SQLite copy is opened.

SQLite opens files by path: the database, and a journal beside it. Before anything of a table is written, what it opened
is compared with what lies in the folder that the roots found. All that a link put there at that very moment can gain is
an empty journal elsewhere.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path as FilePath

from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import FILE_MODE, Place
from lorchestra.storacle.service import RpcError

SIDE_FILES = ("-journal", "-wal", "-shm")

# By the beginning of SQLite's name for the error, most specific first.
_CODES = (
    ("SQLITE_FULL", ErrorCode.STORAGE_FULL),
    # What a quota and a limit on the size of files look like.
    ("SQLITE_IOERR_WRITE", ErrorCode.STORAGE_FULL),
    ("SQLITE_IOERR", ErrorCode.UNAVAILABLE),
    ("SQLITE_BUSY", ErrorCode.BUSY),
    ("SQLITE_LOCKED", ErrorCode.BUSY),
    ("SQLITE_NOMEM", ErrorCode.UNAVAILABLE),
    ("SQLITE_TOOBIG", ErrorCode.TOO_LARGE),
    ("SQLITE_READONLY", ErrorCode.FORBIDDEN),
    ("SQLITE_PERM", ErrorCode.FORBIDDEN),
    ("SQLITE_CANTOPEN", ErrorCode.FORBIDDEN),
)


def connect(patience_s: float) -> sqlite3.Connection:
    """To a temporary database that SQLite keeps on disk without a name."""
    return sqlite3.connect("file:", uri=True, timeout=patience_s, isolation_level=None)


def make(place: Place) -> None:
    with suppress(FileExistsError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(place.name, flags, FILE_MODE, dir_fd=place.folder))
        os.fsync(place.folder)


def attach(connection: sqlite3.Connection, place: Place) -> None:
    """Open the file as `target`. Closing a file makes a process lose its locks on it, so only one thread at a time may
    do this.
    """
    for side in SIDE_FILES:
        with suppress(FileNotFoundError):
            _require_plain(os.stat(place.name + side, dir_fd=place.folder, follow_symlinks=False))
    status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    _require_plain(status)
    connection.execute("ATTACH ? AS target", (f"{place.path.as_uri()}?mode=rw",))
    descriptor = opened(place.folder, place.name)
    if stat.S_IMODE(status.st_mode) != FILE_MODE:
        os.fchmod(descriptor, FILE_MODE)


def _require_plain(status: os.stat_result) -> None:
    """It is written in place, so a second name of it could lie anywhere."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise PermissionError(errno.EPERM, "no regular file, or one with several names")


def opened(folder: int, name: str) -> int:
    """The descriptor by which SQLite holds the file of this name. It is not opened here: closing it would drop SQLite's
    locks.
    """
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        for link in FilePath("/dev/fd").iterdir():
            # The one that lists them is closed by now.
            with suppress(OSError):
                if os.path.samestat(os.fstat(int(link.name)), status):
                    return int(link.name)
    raise PermissionError(errno.EPERM, "another file was opened")


def prepare(connection: sqlite3.Connection) -> str:
    """Make writes to the target safe; what SQLite adds to its name for the file in which it writes changes down."""
    # A file made by others may hold triggers and views: they get no functions that reach outside.
    connection.execute("PRAGMA trusted_schema = OFF")
    # The commit is durable when it is answered, and what was deleted is gone from the file.
    connection.execute("PRAGMA target.synchronous = EXTRA")
    connection.execute("PRAGMA target.secure_delete = ON")
    if connection.execute("PRAGMA target.journal_mode").fetchone() == ("wal",):
        return "-wal"
    # A journal that is emptied and not deleted, for SQLite deletes by path.
    connection.execute("PRAGMA target.journal_mode = TRUNCATE")
    return "-journal"


def remove_journal(connection: sqlite3.Connection, place: Place) -> None:
    """Under the lock of a writer, so that it is nobody's. When another writer has that, it is left to them."""
    journal = place.name + "-journal"
    with suppress(sqlite3.Error, FileNotFoundError):
        connection.execute("PRAGMA busy_timeout = 0")
        with transaction(connection):
            if os.stat(journal, dir_fd=place.folder, follow_symlinks=False).st_size == 0:
                os.unlink(journal, dir_fd=place.folder)


@contextmanager
def transaction(connection: sqlite3.Connection, *, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Rolled back unless it was committed, also by a COMMIT that failed."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def refusals(at: Path, *, constraint: Callable[[], Path] | None = None) -> Iterator[None]:
    # Without their causes: messages of SQLite may quote names and values.
    try:
        yield
    except sqlite3.IntegrityError:
        # Of the staged rows, two of one key; of the target, a rule that someone else made.
        if constraint is not None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=constraint()) from None
        raise RpcError(ErrorCode.REFUSED, at=at) from None
    except sqlite3.Error as error:
        name: str = getattr(error, "sqlite_errorname", "")
        # Whatever else SQLite says of a file, it is no database, or one that does not let this be done to it.
        code = next((code for start, code in _CODES if name.startswith(start)), ErrorCode.REFUSED)
        raise RpcError(code, at=at) from None
