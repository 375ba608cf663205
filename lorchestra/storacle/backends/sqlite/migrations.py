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
            namespace TEXT NOT NULL, key TEXT NOT NULL, run_id TEXT NOT NULL, job_id TEXT, job_version TEXT,
            step_id TEXT, op_id TEXT NOT NULL, method TEXT NOT NULL, code_sha256 TEXT, content_sha256 TEXT,
            tag INTEGER NOT NULL, counts TEXT NOT NULL, applied_at TEXT NOT NULL,
            PRIMARY KEY (namespace, key)
        ) WITHOUT ROWID""",
        """CREATE TABLE _state (
            namespace TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (namespace, key)
        ) WITHOUT ROWID""",
        # What a namespace made elsewhere: files, copies, sheets.
        """CREATE TABLE _namespace_objects (
            namespace TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, run_id TEXT NOT NULL,
            PRIMARY KEY (namespace, kind, name)
        ) WITHOUT ROWID""",
        # Every table and view there is, with the namespace that made it. `physical` is its name in this file.
        """CREATE TABLE _tables (
            namespace TEXT NOT NULL, dataset TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
            about TEXT NOT NULL, physical TEXT NOT NULL UNIQUE, PRIMARY KEY (namespace, dataset, name)
        ) WITHOUT ROWID""",
        # Makes the names of tables differ, also from those of tables that are gone.
        """CREATE TABLE _numbers (next INTEGER NOT NULL)""",
        """INSERT INTO _numbers VALUES (1)""",
        """CREATE TABLE _upkeep (task TEXT PRIMARY KEY, done TEXT NOT NULL) WITHOUT ROWID""",
    ),
)


def migrate(connection: sqlite3.Connection, path: Path | None, *, at: datetime) -> None:
    """Bring the file up to date. Raises as `version` does."""
    if version(connection, path) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again: another process may have been faster.
        known = version(connection, path)
        if known == 0:
            connection.execute("CREATE TABLE _schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
        for number, statements in enumerate(MIGRATIONS[known:], start=known + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO _schema_version VALUES (?, ?)", (number, at.isoformat()))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def version(connection: sqlite3.Connection, path: Path | None) -> int:
    """The version of the file; 0 when it is new. Raises ConfigurationError for one that is newer than this code, or
    something else than storacle's.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if "_schema_version" not in tables:
        raise ConfigurationError(f"{path} is a database of something else, not of storacle; choose another file")
    found: int = connection.execute("SELECT coalesce(max(version), 0) FROM _schema_version").fetchone()[0]
    if found > len(MIGRATIONS):
        raise ConfigurationError(
            f"the data file {path} was written by a newer lorchestra (version {found}, and this one knows "
            f"{len(MIGRATIONS)}); upgrade lorchestra"
        )
    return found
