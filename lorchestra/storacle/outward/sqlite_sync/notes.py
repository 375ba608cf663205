"""What a file says of the tables that were copied into it: their names, and digests of what they hold."""

from __future__ import annotations

import sqlite3

from lorchestra.storacle.outward.sqlite_columns import SYNC_TABLE


def put(connection: sqlite3.Connection, table: str, digest: str) -> None:
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS target."{SYNC_TABLE}" (table_name TEXT PRIMARY KEY, digest TEXT NOT NULL)'
    )
    connection.execute(f'INSERT OR REPLACE INTO target."{SYNC_TABLE}" VALUES (?, ?)', (table, digest))


def found(connection: sqlite3.Connection) -> dict[str, str]:
    """The digest of each table, by name."""
    if connection.execute("SELECT 1 FROM target.sqlite_master WHERE name = ?", (SYNC_TABLE,)).fetchone() is None:
        return {}
    return dict(connection.execute(f'SELECT table_name, digest FROM target."{SYNC_TABLE}"').fetchall())


def remove(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(f'DELETE FROM target."{SYNC_TABLE}" WHERE table_name = ?', (table,))
