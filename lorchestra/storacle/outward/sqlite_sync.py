"""sqlite.sync: a table of a SQLite file is replaced as a whole, or not at all.

The rows are first put, in order of their key, into a temporary database that SQLite keeps on disk without a name: so
memory does not grow with them, a mistake among them leaves the target untouched, and so does content that is already
there. Then the old rows are deleted and the new ones copied in one transaction of the target. The table itself stays
where its columns have not changed, and with it the views and indexes that others made; swapping in a new table under
the old name would be no safer, and would lose them.

SQLite opens files by path: the database, and a journal beside it. Before anything of the table is written, what it
opened is compared with what lies in the folder that the roots found. All that a link put there at that very moment can
gain is an empty journal elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path as FilePath
from typing import Any

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import FILE_MODE, Place, Roots
from lorchestra.storacle.outward.sqlite_columns import SYNC_TABLE, Encoder, SqliteSync, quoted
from lorchestra.storacle.service import RpcError

PATIENCE_S = 30.0

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


class SqliteWriter:
    """Repeatable: the table depends on the params and the rows alone. Readers, other writers and a process that is
    killed at any point find or leave the old table or the new one.
    """

    def __init__(self, roots: Roots, *, patience_s: float = PATIENCE_S) -> None:
        self._roots = roots
        self._patience_s = patience_s
        self._opening = threading.Lock()

    def sync(
        self, params: SqliteSync, rows: Iterable[Mapping[str, Any]], *, namespace: str, at: Path = ()
    ) -> dict[str, int]:
        """Each row is a mapping of column names to values; of JSON columns, to JSON values and not to their text."""
        # Refused before any row is read.
        with self._roots.open(params, namespace=namespace, at=at), _refusals((*at, "path")):
            connection = sqlite3.connect("file:", uri=True, timeout=self._patience_s, isolation_level=None)
        with closing(connection):
            count, digest = _stage(connection, params, rows, at)
            with self._roots.open(params, namespace=namespace, at=at) as place, _refusals((*at, "path")):
                # Closing a file makes this process lose its locks on it, so none may be made while one is opened.
                with self._opening:
                    _attach(connection, place)
                is_written = _replace(connection, place, params, count, digest)
        return {"written": count if is_written else 0, "unchanged": 0 if is_written else count}


def _stage(
    connection: sqlite3.Connection, params: SqliteSync, rows: Iterable[Mapping[str, Any]], at: Path
) -> tuple[int, str]:
    """How many rows there are, and the digest of the table they make."""
    encoder = Encoder(params, at)
    names = [column.name for column in params.columns]
    insert = f"INSERT INTO main.staged VALUES ({', '.join('?' * len(names))})"
    with _refusals((*at, "path")):
        connection.execute("PRAGMA main.journal_mode = OFF")
        connection.execute("PRAGMA main.synchronous = OFF")
        connection.execute(f"CREATE TABLE main.staged {params.declarations} WITHOUT ROWID")
        connection.execute("BEGIN")
    with _refusals((*at, "path"), constraint=lambda: encoder.place):
        connection.executemany(insert, encoder.encode(rows))
    digest = hashlib.sha256(canonical_bytes([params.declarations]))
    with _refusals((*at, "path")):
        connection.execute("COMMIT")
        query = f"SELECT {quoted(names)} FROM main.staged ORDER BY {quoted(params.key_columns)}"
        for row in connection.execute(query):
            digest.update(canonical_bytes(row))
    return encoder.position + 1, digest.hexdigest()


def _attach(connection: sqlite3.Connection, place: Place) -> None:
    for side in ("-journal", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            _require_plain(os.stat(place.name + side, dir_fd=place.folder, follow_symlinks=False))
    with suppress(FileExistsError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(place.name, flags, FILE_MODE, dir_fd=place.folder))
        os.fsync(place.folder)
    status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    _require_plain(status)
    connection.execute("ATTACH ? AS target", (f"{place.path.as_uri()}?mode=rw",))
    descriptor = _opened(place.folder, place.name)
    if stat.S_IMODE(status.st_mode) != FILE_MODE:
        os.fchmod(descriptor, FILE_MODE)


def _require_plain(status: os.stat_result) -> None:
    """It is written in place, so a second name of it could lie anywhere."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise PermissionError(errno.EPERM, "no regular file, or one with several names")


def _opened(folder: int, name: str) -> int:
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


def _replace(connection: sqlite3.Connection, place: Place, params: SqliteSync, count: int, digest: str) -> bool:
    """Whether the table had to be written."""
    # A file made by others may hold triggers and views: they get no functions that reach outside.
    connection.execute("PRAGMA trusted_schema = OFF")
    # The commit is durable when it is answered, and what was deleted is gone from the file.
    connection.execute("PRAGMA target.synchronous = EXTRA")
    connection.execute("PRAGMA target.secure_delete = ON")
    is_wal = connection.execute("PRAGMA target.journal_mode").fetchone() == ("wal",)
    if not is_wal:
        # A journal that is emptied and not deleted, for SQLite deletes by path.
        connection.execute("PRAGMA target.journal_mode = TRUNCATE")
    try:
        with _transaction(connection):
            found = _definition(connection, params.table)
            wanted = f'CREATE TABLE "{params.table}" {params.declarations}'
            if found == wanted and _has(connection, params.table, count, digest):
                return False
            _note(connection, params.table, digest)
            # The first write has opened it, and nothing of the table is in it yet.
            _opened(place.folder, place.name + ("-wal" if is_wal else "-journal"))
            _write(connection, params, is_same=found == wanted)
            connection.execute("COMMIT")
        return True
    finally:
        if not is_wal:
            _remove_journal(connection, place)


def _note(connection: sqlite3.Connection, table: str, digest: str) -> None:
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS target."{SYNC_TABLE}" (table_name TEXT PRIMARY KEY, digest TEXT NOT NULL)'
    )
    connection.execute(f'INSERT OR REPLACE INTO target."{SYNC_TABLE}" VALUES (?, ?)', (table, digest))


def _write(connection: sqlite3.Connection, params: SqliteSync, *, is_same: bool) -> None:
    if is_same:
        connection.execute(f'DELETE FROM target."{params.table}"')
    else:
        connection.execute(f'DROP TABLE IF EXISTS target."{params.table}"')
        connection.execute(f'CREATE TABLE target."{params.table}" {params.declarations}')
    names = quoted(column.name for column in params.columns)
    connection.execute(
        f'INSERT INTO target."{params.table}" ({names}) '
        f"SELECT {names} FROM main.staged ORDER BY {quoted(params.key_columns)}"
    )


def _remove_journal(connection: sqlite3.Connection, place: Place) -> None:
    """Under the lock of a writer, so that it is nobody's. When another writer has that, it is left to them."""
    journal = place.name + "-journal"
    with suppress(sqlite3.Error, FileNotFoundError):
        connection.execute("PRAGMA busy_timeout = 0")
        with _transaction(connection):
            if os.stat(journal, dir_fd=place.folder, follow_symlinks=False).st_size == 0:
                os.unlink(journal, dir_fd=place.folder)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Rolled back unless it was committed, also by a COMMIT that failed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _definition(connection: sqlite3.Connection, table: str) -> str | None:
    query = "SELECT type, sql FROM target.sqlite_master WHERE name = ? COLLATE NOCASE"
    found = connection.execute(query, (table,)).fetchone()
    if found is None:
        return None
    kind, sql = found
    if kind != "table":
        raise RpcError(ErrorCode.REFUSED, at=("table",))
    return str(sql)


def _has(connection: sqlite3.Connection, table: str, count: int, digest: str) -> bool:
    """The count notices most of what others do to the table; the digest knows only what was written here."""
    if connection.execute("SELECT 1 FROM target.sqlite_master WHERE name = ?", (SYNC_TABLE,)).fetchone() is None:
        return False
    known = connection.execute(f'SELECT digest FROM target."{SYNC_TABLE}" WHERE table_name = ?', (table,))
    if known.fetchone() != (digest,):
        return False
    counted = connection.execute(f'SELECT count(*) FROM target."{table}"')
    return bool(counted.fetchone() == (count,))


@contextmanager
def _refusals(at: Path, *, constraint: Callable[[], Path] | None = None) -> Iterator[None]:
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
