"""The tables of the run store, as the steps that lead to them. A step that was released is never changed."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from lorchestra.errors import StoreError

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE definitions (sha256 TEXT PRIMARY KEY, body BLOB NOT NULL)",
        # monotonic_s is read from a clock that no one sets, and that all processes of the machine share.
        """CREATE TABLE workers (
            worker_id TEXT PRIMARY KEY, heartbeat_at TEXT NOT NULL, monotonic_s REAL NOT NULL
        ) WITHOUT ROWID""",
        # Numbered in the order they were recorded. The columns from `status` on are those of the run's last attempt.
        # `opening` and `ending` are entries: the first of the run, and the one the attempt ended with. They stand in
        # the row because what a commit costs is the pages it writes.
        """CREATE TABLE runs (
            run_no INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL UNIQUE,
            parent_run_id TEXT,
            job_id TEXT NOT NULL,
            namespace TEXT NOT NULL,
            definition_sha256 TEXT NOT NULL,
            started_at TEXT NOT NULL,
            record TEXT NOT NULL,
            opening TEXT NOT NULL,
            status TEXT NOT NULL,
            attempt_n INTEGER NOT NULL,
            attempt_started_at TEXT NOT NULL,
            completed_at TEXT,
            worker_id TEXT NOT NULL,
            ending TEXT,
            error TEXT
        )""",
        "CREATE INDEX runs_running ON runs (job_id, namespace) WHERE status = 'running'",
        "CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL",
        # The attempts before the last one. Most runs have none.
        """CREATE TABLE attempts (
            run_no INTEGER NOT NULL,
            attempt_n INTEGER NOT NULL,
            status TEXT NOT NULL,
            started_at TEXT NOT NULL,
            completed_at TEXT,
            PRIMARY KEY (run_no, attempt_n)
        ) WITHOUT ROWID""",
        # What was written together while the run went on, only ever added: the last manifest and outcome of a step and
        # attempt count. Those of a run lie side by side: the upper half of `entry_no` is the run_no.
        "CREATE TABLE entries (entry_no INTEGER PRIMARY KEY, attempt_n INTEGER NOT NULL, body TEXT NOT NULL)",
    ),
)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file; 0 when it is new."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if "schema_version" not in tables:
        raise StoreError(f"{path} is a database of something else, not of a run store; choose another folder")
    version: int = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the run store {path} was written by a newer lorchestra (version {version}, and this one knows "
            f"{len(MIGRATIONS)}); upgrade lorchestra"
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path, *, at: datetime) -> None:
    """Bring the file up to date, within the caller's transaction."""
    version = version_of(connection, path)
    if version == 0:
        connection.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, at.isoformat()))
