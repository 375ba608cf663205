"""The statements that the store's transactions are made of."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from lorchestra import json_value
from lorchestra.errors import RunNotFound, StaleAttempt
from lorchestra.run_store import run_state
from lorchestra.run_store.protocol import RunFilter
from lorchestra.run_store.sqlite import rows
from lorchestra.run_store.sqlite.rows import RunRow
from lorchestra.schemas import JobDef, RunRecord, RunStatus

# The entries of a run, by its number; written so that SQLite looks them up by their key.
_ENTRIES_OF_RUN = "entry_no BETWEEN run_no << 32 AND (run_no << 32) + 0xffffffff"
_NEXT_ENTRY = f"1 + coalesce((SELECT max(entry_no) FROM entries WHERE {_ENTRIES_OF_RUN}), run_no << 32)"
_OF_ATTEMPT = "FROM runs WHERE run_id = ? AND attempt_n = ? AND status = 'running'"
_ADD_ENTRY = f"INSERT INTO entries (entry_no, attempt_n, body) SELECT {_NEXT_ENTRY}, attempt_n, ? {_OF_ATTEMPT}"
# By the number of the run, which is found faster than its id; by the id too, since numbers of pruned runs come again.
_ADD_ENTRY_AT = """INSERT OR IGNORE INTO entries (entry_no, attempt_n, body) SELECT ?1, attempt_n, ?2 FROM runs
    WHERE run_no = ?1 >> 32 AND run_id = ?3 AND attempt_n = ?4 AND status = 'running'"""


def add_run(connection: sqlite3.Connection, record: RunRecord, body: str, opening: str, worker_id: str) -> None:
    started_at = rows.time(record.started_at)
    added = connection.execute(
        """INSERT OR IGNORE INTO runs (run_id, parent_run_id, job_id, namespace, definition_sha256, started_at, record,
            opening, status, attempt_n, attempt_started_at, worker_id)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'running', 1, ?, ?)""",
        (
            record.run_id,
            record.parent_run_id,
            record.job_id,
            record.namespace,
            record.job_def_sha256,
            started_at,
            body,
            opening,
            started_at,
            worker_id,
        ),
    )
    run_state.check_new(record, is_known=added.rowcount == 0)


def next_attempt(connection: sqlite3.Connection, run_id: str, at: datetime, worker_id: str) -> None:
    """Put the last attempt with the earlier ones, and begin the next."""
    interrupt(connection, run_id)
    connection.execute(
        """INSERT INTO attempts SELECT run_no, attempt_n, status, attempt_started_at, completed_at
        FROM runs WHERE run_id = ?""",
        (run_id,),
    )
    connection.execute(
        f"""INSERT INTO entries (entry_no, attempt_n, body) SELECT {_NEXT_ENTRY}, attempt_n, ending
        FROM runs WHERE run_id = ? AND ending IS NOT NULL""",
        (run_id,),
    )
    connection.execute(
        """UPDATE runs SET status = 'running', attempt_n = attempt_n + 1, attempt_started_at = ?, completed_at = NULL,
            worker_id = ?, ending = NULL, error = NULL
        WHERE run_id = ?""",
        (rows.time(at), worker_id, run_id),
    )


def end_run(
    connection: sqlite3.Connection,
    run_id: str,
    attempt_n: int,
    status: RunStatus,
    ended: str,
    ending: str,
    error: str | None,
) -> None:
    """End the run and the attempt, in one statement that finds out too whether the attempt may still write."""
    ended_runs = connection.execute(
        """UPDATE runs SET status = ?, completed_at = ?, ending = ?, error = ?
        WHERE run_id = ? AND attempt_n = ? AND status = 'running'""",
        (status.value, ended, ending, error, run_id, attempt_n),
    ).rowcount
    if not ended_runs:
        check_attempt(connection, run_id, attempt_n)


def delete_runs(connection: sqlite3.Connection, run_ids: Sequence[str]) -> int:
    """Delete the runs and what only they needed; the number of definitions among it."""
    find = "SELECT run_no FROM runs WHERE run_id = ?"
    numbers = [connection.execute(find, (run_id,)).fetchone() for run_id in run_ids]
    for statement in (
        "DELETE FROM entries WHERE entry_no BETWEEN ?1 << 32 AND (?1 << 32) + 0xffffffff",
        "DELETE FROM attempts WHERE run_no = ?1",
        "DELETE FROM runs WHERE run_no = ?1",
    ):
        connection.executemany(statement, numbers)
    return connection.execute(
        """DELETE FROM definitions WHERE sha256 NOT IN (SELECT definition_sha256 FROM runs) AND sha256 NOT IN (
            SELECT accepted.value ->> '$.job_def_sha256' FROM runs, json_each(runs.record, '$.accepted') AS accepted
        )"""
    ).rowcount


def delete_workers(connection: sqlite3.Connection, is_alive: Callable[[str], bool]) -> None:
    """Delete the workers that no run names, and that will not start one."""
    idle = connection.execute("SELECT worker_id FROM workers WHERE worker_id NOT IN (SELECT worker_id FROM runs)")
    dead = [(worker_id,) for (worker_id,) in idle.fetchall() if not is_alive(worker_id)]
    connection.executemany("DELETE FROM workers WHERE worker_id = ?", dead)


def sign(connection: sqlite3.Connection, worker_id: str, now: datetime, monotonic_s: float) -> None:
    """The worker gives a sign of life."""
    connection.execute(
        "INSERT OR REPLACE INTO workers (worker_id, heartbeat_at, monotonic_s) VALUES (?, ?, ?)",
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
    conditions = [f"{column} = ?" for column in given]
    if query.outermost:
        conditions.append("parent_run_id IS NULL")
    clause = "WHERE " + " AND ".join(conditions) if conditions else ""
    cursor = connection.execute(f"{RunRow.SELECT} {clause} ORDER BY run_no DESC", tuple(given.values()))
    with contextlib.closing(cursor):
        yield (RunRow(*fields) for fields in cursor)


def earlier_attempts(connection: sqlite3.Connection, run_id: str) -> list[tuple[int, str, str, str | None]]:
    return connection.execute(
        """SELECT attempts.attempt_n, attempts.status, attempts.started_at, attempts.completed_at
        FROM attempts JOIN runs USING (run_no) WHERE run_id = ? ORDER BY attempts.attempt_n""",
        (run_id,),
    ).fetchall()


def interrupt(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("UPDATE runs SET status = 'interrupted' WHERE run_id = ? AND status = 'running'", (run_id,))


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


def add_entry(connection: sqlite3.Connection, run_id: str, attempt_n: int, entry: str, last_no: int | None) -> int:
    """Add what was written together, in one statement that finds out too whether the attempt may still write.

    Returns its number. The next is tried first after `last_no`: to look for the last takes as long as to add one.
    """
    if last_no is not None and connection.execute(_ADD_ENTRY_AT, (last_no + 1, entry, run_id, attempt_n)).rowcount:
        return last_no + 1
    added = connection.execute(_ADD_ENTRY, (entry, run_id, attempt_n))
    if not added.rowcount:
        check_attempt(connection, run_id, attempt_n)
    return added.lastrowid or 0


def check_attempt(connection: sqlite3.Connection, run_id: str, attempt_n: int) -> None:
    found = connection.execute("SELECT attempt_n, status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if found is None:
        raise RunNotFound(run_id)
    if found != (attempt_n, RunStatus.RUNNING.value):
        raise StaleAttempt(run_id=run_id, attempt_n=attempt_n)


def entries(connection: sqlite3.Connection, run_id: str) -> list[tuple[int, str]]:
    """In the order written, each with its attempt."""
    opening, attempt_n, ending = connection.execute(
        "SELECT opening, attempt_n, ending FROM runs WHERE run_id = ?", (run_id,)
    ).fetchone()
    between = connection.execute(
        f"""SELECT entries.attempt_n, body FROM runs JOIN entries ON {_ENTRIES_OF_RUN}
        WHERE run_id = ? ORDER BY entry_no""",
        (run_id,),
    ).fetchall()
    return [(1, opening), *between, *([] if ending is None else [(attempt_n, ending)])]


def replace_record(connection: sqlite3.Connection, run_id: str, record: str) -> None:
    connection.execute("UPDATE runs SET record = ? WHERE run_id = ?", (record, run_id))


def keep_definition(connection: sqlite3.Connection, sha256: str, definition: JobDef) -> None:
    # Asked first: making the canonical form takes longer than a row, and nearly always it is kept already.
    kept = connection.execute("SELECT 1 FROM definitions WHERE sha256 = ?", (sha256,)).fetchone()
    if kept is None:
        connection.execute(
            "INSERT OR IGNORE INTO definitions (sha256, body) VALUES (?, ?)",
            (definition.sha256(), json_value.canonical_bytes(definition.canonical())),
        )
