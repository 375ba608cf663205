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
from dataclasses import dataclass
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
        version: str | None = None,
    ) -> dict[str, int]:
        """Each row is a mapping of column names to values; of JSON columns, to JSON values and not to their text.

        Rows of a version that the table was made of are not asked for, as long as the table is as it was made.
        """
        if version is not None and (count := self._current(target, table, version, namespace, at)) is not None:
            return {"written": 0, "unchanged": count}
        # Refused before any row is read.
        with self._roots.open(target, namespace=namespace, at=at), refusals((*at, "path")):
            connection = opening.connect(self._patience_s)
        with closing(connection):
            count, digest = _stage(connection, table, rows, at)
            with self._roots.open(target, namespace=namespace, at=at) as place, refusals((*at, "path")):
                with self._opening:
                    opening.make(place)
                    opening.attach(connection, place)
                is_written = _replace(connection, place, table, _Made(count, digest, version), at)
        return {"written": count if is_written else 0, "unchanged": 0 if is_written else count}

    def _current(self, target: Target, table: CopyTable, version: str, namespace: str, at: Path) -> int | None:
        """How many rows the table has, if it holds those of the version and nobody changed it since."""
        place_of = self._roots.open(target, namespace=namespace, at=at)
        with place_of as place, refusals((*at, "path")), closing(opening.connect(self._patience_s)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            with self._opening:
                if not removal.attach(connection, place):
                    return None
            with transaction(connection, kind="DEFERRED"):
                if notes.version(connection, table.name) != version:
                    return None
                if _definition(connection, table.name, at) != table.definition:
                    return None
                count, digest = _digest(connection, table, f'target."{table.name}"')
                return count if digest == notes.found(connection).get(table.name) else None

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
    with refusals((*at, "path")):
        connection.execute("COMMIT")
        return _digest(connection, table, "main.staged")


def _digest(connection: sqlite3.Connection, table: CopyTable, rows: str) -> tuple[int, str]:
    """Of rows in the order of their key, with their number."""
    digest = hashlib.sha256(canonical_bytes([table.content]))
    count = 0
    for row in connection.execute(f"SELECT {quoted(table.names)} FROM {rows} ORDER BY {quoted(table.key_columns)}"):
        try:
            digest.update(canonical_bytes(row))
        except TypeError:
            # Bytes, or half a character: nothing that was written here.
            digest.update(b"\0")
        count += 1
    return count, digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Made:
    """What the table is to hold: how many rows, their digest, and the version of their source."""

    count: int
    digest: str
    version: str | None


def _replace(connection: sqlite3.Connection, place: Place, table: CopyTable, made: _Made, at: Path) -> bool:
    """Whether the table had to be written."""
    side = opening.prepare(connection)
    try:
        with transaction(connection):
            is_same = _definition(connection, table.name, at) == table.definition
            has_rows = is_same and _has(connection, table, made.count, made.digest)
            if has_rows and made.version in (None, notes.version(connection, table.name)):
                return False
            notes.put(connection, table.name, made.digest, made.version)
            # The first write has opened it, and nothing of the table is in it yet.
            opening.opened(place.folder, place.name + side)
            if not has_rows:
                _write(connection, table, is_same=is_same)
            connection.execute("COMMIT")
        return not has_rows
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


def _has(connection: sqlite3.Connection, table: CopyTable, count: int, digest: str) -> bool:
    """The digest knows what was written here; the rows themselves, what others did to them since."""
    if notes.found(connection).get(table.name) != digest:
        return False
    counted = connection.execute(f'SELECT count(*) FROM target."{table.name}"')
    if counted.fetchone() != (count,):
        return False
    is_same = " AND ".join(f'staged."{name}" IS there."{name}"' for name in table.names)
    same = connection.execute(f'SELECT count(*) FROM main.staged JOIN target."{table.name}" AS there ON {is_same}')
    return bool(same.fetchone() == (count,))
