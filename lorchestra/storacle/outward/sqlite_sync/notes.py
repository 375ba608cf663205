"""What a file says of the tables that were copied into it: their names, and digests of what they hold."""

from __future__ import annotations

import sqlite3

from lorchestra.storacle.outward.sqlite_columns import SYNC_TABLE


def put(connection: sqlite3.Connection, table: str, digest: str, version: str | None) -> None:
    """`version` is that of the source, when it is known."""
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS target."{SYNC_TABLE}" (table_name TEXT PRIMARY KEY, digest TEXT NOT NULL, '
        "version TEXT)"
    )
    if not _has_versions(connection):
        connection.execute(f'ALTER TABLE target."{SYNC_TABLE}" ADD COLUMN version TEXT')
    connection.execute(
        f'INSERT OR REPLACE INTO target."{SYNC_TABLE}" (table_name, digest, version) VALUES (?, ?, ?)',
        (table, digest, version),
    )


def found(connection: sqlite3.Connection) -> dict[str, str]:
    """The digest of each table, by name."""
    if connection.execute("SELECT 1 FROM target.sqlite_master WHERE name = ?", (SYNC_TABLE,)).fetchone() is None:
        return {}
    return dict(connection.execute(f'SELECT table_name, digest FROM target."{SYNC_TABLE}"').fetchall())


def version(connection: sqlite3.Connection, table: str) -> str | None:
    """That of the source whose rows the table held when they were compared last."""
    if not _has_versions(connection):
        return None
    query = f'SELECT version FROM target."{SYNC_TABLE}" WHERE table_name = ?'
    told = connection.execute(query, (table,)).fetchone()
    return None if told is None or not isinstance(told[0], str) else told[0]


def _has_versions(connection: sqlite3.Connection) -> bool:
    """A file from an earlier version of ours may not have them."""
    return any(name == "version" for _, name, *_ in connection.execute(f'PRAGMA target.table_info("{SYNC_TABLE}")'))


def remove(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(f'DELETE FROM target."{SYNC_TABLE}" WHERE table_name = ?', (table,))
