"""How the rows get into the table.

They are first put, in order of their key, into a temporary database that SQLite keeps on disk without a name: so
memory does not grow with them, a mistake among them leaves the target untouched, and so does content that is already
there. Then the old rows are deleted and the new ones copied in one transaction of the target. The table itself stays
where its columns have not changed, and with it the views and indexes that others made; swapping in a new table under
the old name would be no safer, and would lose them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import Place, Roots, Target
from lorchestra.storacle.outward.sqlite_columns import CopyTable, Encoder, quoted
from lorchestra.storacle.outward.sqlite_sync import notes, opening, removal
from lorchestra.storacle.outward.sqlite_sync.opening import refusals, transaction
from lorchestra.storacle.service import RpcError

PATIENCE_S = 30.0


class SqliteWriter:
    """Repeatable: the table depends on its columns and the rows alone. Readers, other writers and a process that is
    killed at any point find or leave the old table or the new one.
    """

    def __init__(self, roots: Roots, *, patience_s: float = PATIENCE_S) -> None:
        self._roots = roots
        self._patience_s = patience_s
        self._opening = threading.Lock()

    def sync(
        self,
        target: Target,
        table: CopyTable,
        rows: Iterable[Mapping[str, Any]],
        *,
        namespace: str,
        at: Path = (),
    ) -> dict[str, int]:
        """Each row is a mapping of column names to values; of JSON columns, to JSON values and not to their text."""
        # Refused before any row is read.
        with self._roots.open(target, namespace=namespace, at=at), refusals((*at, "path")):
            connection = opening.connect(self._patience_s)
        with closing(connection):
            count, digest = _stage(connection, table, rows, at)
            with self._roots.open(target, namespace=namespace, at=at) as place, refusals((*at, "path")):
                with self._opening:
                    opening.make(place)
                    opening.attach(connection, place)
                is_written = _replace(connection, place, table, count, digest, at)
        return {"written": count if is_written else 0, "unchanged": 0 if is_written else count}

    def drop(self, place: Place, table: str) -> None:
        """Take away a table that was copied there, if it is there, and the file once nothing is left in it."""
        with refusals(()), closing(opening.connect(self._patience_s)) as connection:
            with self._opening:
                is_there = removal.attach(connection, place)
            if is_there:
                removal.drop(connection, place, table)


def _stage(
    connection: sqlite3.Connection, table: CopyTable, rows: Iterable[Mapping[str, Any]], at: Path
) -> tuple[int, str]:
    """How many rows there are, and the digest of the table they make."""
    encoder = Encoder(table, at)
    insert = f"INSERT INTO main.staged VALUES ({', '.join('?' * len(table.names))})"
    with refusals((*at, "path")):
        connection.execute("PRAGMA main.journal_mode = OFF")
        connection.execute("PRAGMA main.synchronous = OFF")
        connection.execute(f"CREATE TABLE main.staged {table.content} WITHOUT ROWID")
        connection.execute("BEGIN")
    with refusals((*at, "path"), constraint=lambda: encoder.place):
        connection.executemany(insert, encoder.encode(rows))
    digest = hashlib.sha256(canonical_bytes([table.content]))
    with refusals((*at, "path")):
        connection.execute("COMMIT")
        query = f"SELECT {quoted(table.names)} FROM main.staged ORDER BY {quoted(table.key_columns)}"
        for row in connection.execute(query):
            digest.update(canonical_bytes(row))
    return encoder.position + 1, digest.hexdigest()


def _replace(connection: sqlite3.Connection, place: Place, table: CopyTable, count: int, digest: str, at: Path) -> bool:
    """Whether the table had to be written."""
    side = opening.prepare(connection)
    try:
        with transaction(connection):
            is_same = _definition(connection, table.name, at) == table.definition
            if is_same and _has(connection, table.name, count, digest):
                return False
            notes.put(connection, table.name, digest)
            # The first write has opened it, and nothing of the table is in it yet.
            opening.opened(place.folder, place.name + side)
            _write(connection, table, is_same=is_same)
            connection.execute("COMMIT")
        return True
    finally:
        if side == "-journal":
            opening.remove_journal(connection, place)


def _write(connection: sqlite3.Connection, table: CopyTable, *, is_same: bool) -> None:
    if is_same:
        connection.execute(f'DELETE FROM target."{table.name}"')
    else:
        connection.execute(f'DROP TABLE IF EXISTS target."{table.name}"')
        connection.execute(table.definition.replace("CREATE TABLE ", "CREATE TABLE target.", 1))
    values = ", ".join((quoted(table.names), *("?" for _ in table.copied)))
    connection.execute(
        f'INSERT INTO target."{table.name}" ({quoted((*table.names, *table.copied))}) '
        f"SELECT {values} FROM main.staged ORDER BY {quoted(table.key_columns)}",
        tuple(table.copied.values()),
    )


def _definition(connection: sqlite3.Connection, table: str, at: Path) -> str | None:
    query = "SELECT type, sql FROM target.sqlite_master WHERE name = ? COLLATE NOCASE"
    found = connection.execute(query, (table,)).fetchone()
    if found is None:
        return None
    kind, sql = found
    if kind != "table":
        raise RpcError(ErrorCode.REFUSED, at=(*at, "table"))
    return str(sql)


def _has(connection: sqlite3.Connection, table: str, count: int, digest: str) -> bool:
    """The count notices most of what others do to the table; the digest knows only what was written here."""
    if notes.found(connection).get(table) != digest:
        return False
    counted = connection.execute(f'SELECT count(*) FROM target."{table}"')
    return bool(counted.fetchone() == (count,))
