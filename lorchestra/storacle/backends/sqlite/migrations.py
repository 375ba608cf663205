"""The tables storacle keeps for itself, as the steps that lead to them. A step that was released is never changed."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from lorchestra.errors import ConfigurationError

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE _runs (
            namespace TEXT NOT NULL, run_id TEXT NOT NULL, token INTEGER NOT NULL, attempt_n INTEGER NOT NULL,
            PRIMARY KEY (namespace, run_id)
        ) WITHOUT ROWID""",
        """CREATE TABLE _ledger (
            namespace TEXT NOT NULL, key TEXT NOT NULL, run_id TEXT NOT NULL, op_id TEXT NOT NULL,
            method TEXT NOT NULL, counts TEXT NOT NULL, applied_at TEXT NOT NULL,
            PRIMARY KEY (namespace, key)
        ) WITHOUT ROWID""",
        """CREATE TABLE _state (
            namespace TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (namespace, key)
        ) WITHOUT ROWID""",
        # Every table there is, with the namespace that made it. `physical` is its name in this file.
        """CREATE TABLE _tables (
            namespace TEXT NOT NULL, dataset TEXT NOT NULL, name TEXT NOT NULL, key_columns TEXT NOT NULL,
            physical TEXT NOT NULL UNIQUE, PRIMARY KEY (namespace, dataset, name)
        ) WITHOUT ROWID""",
    ),
)


def migrate(connection: sqlite3.Connection, path: Path | None, *, at: datetime) -> None:
    """Bring the file up to date. Raises ConfigurationError for one that is newer, or something else."""
    if _version(connection, path) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again: another process may have been faster.
        version = _version(connection, path)
        if version == 0:
            connection.execute("CREATE TABLE _schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO _schema_version VALUES (?, ?)", (number, at.isoformat()))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection, path: Path | None) -> int:
    """The version of the file; 0 when it is new."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if "_schema_version" not in tables:
        raise ConfigurationError(f"{path} is a database of something else, not of storacle; choose another file")
    version: int = connection.execute("SELECT coalesce(max(version), 0) FROM _schema_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"the data file {path} was written by a newer lorchestra (version {version}, and this one knows "
            f"{len(MIGRATIONS)}); upgrade lorchestra"
        )
    return version
