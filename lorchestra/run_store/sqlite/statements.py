"""The statements that the store's transactions are made of."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

from lorchestra import json_value
from lorchestra.errors import RunNotFound, StaleAttempt
from lorchestra.run_store import run_state
from lorchestra.run_store.protocol import RunFilter
from lorchestra.run_store.sqlite import rows
from lorchestra.run_store.sqlite.rows import RunRow
from lorchestra.schemas import JobDef, RunRecord, RunStatus


def add_run(connection: sqlite3.Connection, record: RunRecord, body: str, worker_id: str) -> None:
    added = connection.execute(
        """INSERT OR IGNORE INTO runs (run_id, parent_run_id, job_id, namespace, definition_sha256, status,
            started_at, attempt_n, worker_id, record) VALUES (?, ?, ?, ?, ?, 'running', ?, 1, ?, ?)""",
        (
            record.run_id,
            record.parent_run_id,
            record.job_id,
            record.namespace,
            record.job_def_sha256,
            rows.time(record.started_at),
            worker_id,
            body,
        ),
    )
    run_state.check_new(record, is_known=added.rowcount == 0)


def reopen_run(connection: sqlite3.Connection, run_id: str, attempt_n: int, worker_id: str) -> None:
    connection.execute(
        """UPDATE runs SET status = 'running', attempt_n = ?, worker_id = ?, completed_at = NULL, error = NULL
        WHERE run_id = ?""",
        (attempt_n, worker_id, run_id),
    )


def end_run(
    connection: sqlite3.Connection, run_id: str, attempt_n: int, status: RunStatus, ended: str, error: str | None
) -> None:
    connection.execute(
        "UPDATE runs SET status = ?, completed_at = ?, error = ? WHERE run_id = ?",
        (status.value, ended, error, run_id),
    )
    connection.execute(
        "UPDATE attempts SET status = ?, completed_at = ? WHERE run_id = ? AND attempt_n = ?",
        (status.value, ended, run_id, attempt_n),
    )


def delete_runs(connection: sqlite3.Connection, run_ids: Sequence[str]) -> int:
    """Delete the runs and what only they needed; the number of definitions among it."""
    for table in ("entries", "attempts", "runs"):
        connection.executemany(f"DELETE FROM {table} WHERE run_id = ?", ((run_id,) for run_id in run_ids))
    connection.execute("DELETE FROM workers WHERE worker_id NOT IN (SELECT worker_id FROM runs)")
    return connection.execute(
        "DELETE FROM definitions WHERE sha256 NOT IN (SELECT definition_sha256 FROM runs)"
    ).rowcount


def sign(connection: sqlite3.Connection, worker_id: str, now: datetime, monotonic_s: float, *, anew: bool) -> None:
    """The worker gives a sign of life; when not `anew`, only if there is none of it."""
    connection.execute(
        f"""INSERT OR {"REPLACE" if anew else "IGNORE"} INTO workers (worker_id, heartbeat_at, monotonic_s)
        VALUES (?, ?, ?)""",
        (worker_id, rows.time(now), monotonic_s),
    )


@contextlib.contextmanager
def newest_first(connection: sqlite3.Connection, query: RunFilter) -> Iterator[Iterator[RunRow]]:
    wanted = {
        "job_id": query.job_id,
        "namespace": query.namespace,
        "parent_run_id": query.parent_run_id,
        # What is kept as running may read as interrupted.
        "status": None if query.status is RunStatus.INTERRUPTED else query.status,
    }
    given = {column: str(value) for column, value in wanted.items() if value is not None}
    clause = "WHERE " + " AND ".join(f"{column} = ?" for column in given) if given else ""
    cursor = connection.execute(
        f"{RunRow.SELECT} {clause} ORDER BY started_at DESC, run_id DESC", tuple(given.values())
    )
    with contextlib.closing(cursor):
        yield (RunRow(*fields) for fields in cursor)


def attempts(connection: sqlite3.Connection, run_id: str) -> list[tuple[int, str, str, str | None]]:
    return connection.execute(
        "SELECT attempt_n, status, started_at, completed_at FROM attempts WHERE run_id = ? ORDER BY attempt_n",
        (run_id,),
    ).fetchall()


def interrupt(connection: sqlite3.Connection, run_id: str) -> None:
    for table in ("runs", "attempts"):
        connection.execute(
            f"UPDATE {table} SET status = 'interrupted' WHERE run_id = ? AND status = 'running'", (run_id,)
        )


def run_row(connection: sqlite3.Connection, run_id: str) -> RunRow:
    fields = connection.execute(f"{RunRow.SELECT} WHERE run_id = ?", (run_id,)).fetchone()
    if fields is None:
        raise RunNotFound(run_id)
    return RunRow(*fields)


def root_of(connection: sqlite3.Connection, run_id: str) -> RunRow | None:
    """The run that was not started by another, at the head of this one; None when there is none any more."""
    fields = connection.execute(
        f"""WITH RECURSIVE line (id, parent) AS (
            SELECT run_id, parent_run_id FROM runs WHERE run_id = ?
            UNION SELECT runs.run_id, runs.parent_run_id FROM runs JOIN line ON runs.run_id = line.parent)
        {RunRow.SELECT} WHERE run_id IN (SELECT id FROM line WHERE parent IS NULL)""",
        (run_id,),
    ).fetchone()
    return None if fields is None else RunRow(*fields)


def add_entry(connection: sqlite3.Connection, run_id: str, attempt_n: int, entry: str) -> None:
    """Add what was written together, in one statement that finds out too whether the attempt may still write."""
    added = connection.execute(
        """INSERT INTO entries (run_id, seq, attempt_n, body)
        SELECT run_id, 1 + coalesce((SELECT max(seq) FROM entries WHERE entries.run_id = runs.run_id), 0), attempt_n, ?
        FROM runs WHERE run_id = ? AND attempt_n = ? AND status = 'running'""",
        (entry, run_id, attempt_n),
    ).rowcount
    if not added:
        check_attempt(connection, run_id, attempt_n)


def check_attempt(connection: sqlite3.Connection, run_id: str, attempt_n: int) -> None:
    row = run_row(connection, run_id)
    if row.attempt_n != attempt_n or row.status != RunStatus.RUNNING:
        raise StaleAttempt(run_id=run_id, attempt_n=attempt_n)


def entries(connection: sqlite3.Connection, run_id: str) -> list[tuple[int, str]]:
    return connection.execute("SELECT attempt_n, body FROM entries WHERE run_id = ? ORDER BY seq", (run_id,)).fetchall()


def add_attempt(connection: sqlite3.Connection, run_id: str, attempt_n: int, at: datetime) -> None:
    connection.execute(
        "INSERT INTO attempts (run_id, attempt_n, status, started_at) VALUES (?, ?, 'running', ?)",
        (run_id, attempt_n, rows.time(at)),
    )


def keep_definition(connection: sqlite3.Connection, record: RunRecord, definition: JobDef) -> None:
    # Asked first: making the canonical form takes longer than a row, and nearly always it is kept already.
    kept = connection.execute("SELECT 1 FROM definitions WHERE sha256 = ?", (record.job_def_sha256,)).fetchone()
    if kept is None:
        connection.execute(
            "INSERT OR IGNORE INTO definitions (sha256, body) VALUES (?, ?)",
            (definition.sha256(), json_value.canonical_bytes(definition.canonical())),
        )
