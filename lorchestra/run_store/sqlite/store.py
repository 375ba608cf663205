"""A run store in a folder: a SQLite file for the record, a private folder a run for its values."""

from __future__ import annotations

import contextlib
import functools
import math
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from lorchestra.clock import Clock, SystemClock
from lorchestra.digest import Digester
from lorchestra.errors import JobBusy, RunNotFound, StaleAttempt, StoreError
from lorchestra.json_value import JSONObject, JSONValue
from lorchestra.run_store import digest_key, files, liveness, retention, run_state
from lorchestra.run_store.heartbeat import Heartbeat
from lorchestra.run_store.private_values import FilePrivateValues
from lorchestra.run_store.protocol import Pruned, RunFilter
from lorchestra.run_store.sqlite import rows, statements
from lorchestra.run_store.sqlite.database import Database
from lorchestra.run_store.sqlite.rows import RunRow
from lorchestra.schemas import Basis, ErrorRecord, JobDef, RunRecord, RunStatus, StepManifest, StepOutcome

HEARTBEAT_S = 5.0
STALE_AFTER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    records: tuple[RunRecord, ...]
    lost: frozenset[RunRow]
    """What is kept as running, and reads as interrupted."""


@dataclass(slots=True)
class _Position:
    """Where an attempt has got to: the number of its last entry, once that is known."""

    last_no: int | None = None


class SqliteRunStore:
    """`folder` is the store's own: everything in it is made private, and git is told to leave it alone.

    Several threads may share one store; a process that is forked or spawned makes its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        heartbeat_s: float = HEARTBEAT_S,
        stale_after_s: float = STALE_AFTER_S,
    ) -> None:
        self._folder = Path(folder).absolute()
        self._clock = clock or SystemClock()
        self._stale_after_s = stale_after_s
        if files.make_folder(self._folder):
            files.ensure_file(self._folder / ".gitignore", b"*\n")
        self._workers = self._folder / "alive"
        liveness.sweep(self._workers)
        self._database = self._open_database()
        self._private = FilePrivateValues(self._folder / "private")
        self._forget_left_overs()
        self._worker = liveness.WorkerLock(self._workers)
        self._mutex = threading.Lock()
        self._active: dict[tuple[str, int], _Position] = {}
        """The attempts that are at work here."""
        self._heartbeat_s = heartbeat_s
        self._signed_s = -math.inf
        self._heartbeat = Heartbeat(self._beat, is_wanted=lambda: bool(self._active), every_s=heartbeat_s)

    @property
    def private(self) -> FilePrivateValues:
        return self._private

    @functools.cached_property
    def digester(self) -> Digester:
        return Digester(digest_key.load(self._folder / "digest.key"))

    def open_run(
        self,
        record: RunRecord,
        definition: JobDef,
        manifests: Sequence[StepManifest],
        *,
        exclusive: bool,
        values: Mapping[str, JSONValue] | None = None,
    ) -> None:
        body = rows.body(record)
        opening = rows.entry((), manifests)
        with contextlib.ExitStack() as undo:
            with self._database.write("record a run") as connection:
                worker_id = self._hold_worker()
                if exclusive:
                    self._settle_rivals(connection, record)
                statements.keep_definition(connection, record.job_def_sha256, definition)
                signed_s = self._sign(connection)
                statements.add_run(connection, record, body, opening, worker_id)
                if values:
                    undo.callback(self._private.remove, record.run_id)
                    for name, value in values.items():
                        self._private.put(record.run_id, name, value)
            undo.pop_all()
        self._signed_s = signed_s
        self._activate(record.run_id, 1)

    def open_attempt(
        self,
        run_id: str,
        *,
        at: datetime,
        exclusive: bool = False,
        accepted: Basis | None = None,
        definition: JobDef | None = None,
        values: Mapping[str, JSONValue] | None = None,
    ) -> int:
        with self._database.write("record an attempt") as connection:
            worker_id = self._hold_worker()
            row = statements.run_row(connection, run_id)
            record = row.read(self._status(row))
            run_state.check_resumable(record)
            if exclusive:
                self._settle_rivals(connection, record)
            signed_s = self._sign(connection)
            statements.next_attempt(connection, run_id, at, worker_id)
            if accepted is not None:
                changed = run_state.accept(record, accepted, row.attempt_n + 1)
                statements.replace_record(connection, run_id, rows.body(changed))
                if definition is not None:
                    statements.keep_definition(connection, accepted.job_def_sha256, definition)
            for name, value in (values or {}).items():
                self._private.put(run_id, name, value)
        attempt_n = row.attempt_n + 1
        self._signed_s = signed_s
        self._activate(run_id, attempt_n)
        return attempt_n

    def advance(
        self,
        run_id: str,
        attempt_n: int,
        *,
        outcomes: Sequence[StepOutcome] = (),
        manifests: Sequence[StepManifest] = (),
    ) -> None:
        try:
            if not outcomes and not manifests:
                self._database.read_one("look at an attempt", statements.check_attempt, run_id, attempt_n)
                return
            entry = rows.entry(outcomes, manifests)
            at = self._active.get((run_id, attempt_n)) or _Position()
            at.last_no = self._database.write_one(
                "record a step", statements.add_entry, run_id, attempt_n, entry, at.last_no
            )
        except StaleAttempt:
            self._deactivate(run_id, attempt_n)
            raise

    def close_run(
        self,
        run_id: str,
        attempt_n: int,
        *,
        status: RunStatus,
        at: datetime,
        outcomes: Sequence[StepOutcome] = (),
        error: ErrorRecord | None = None,
    ) -> None:
        run_state.check_end(status)
        ending = rows.entry(outcomes, ())
        error_body = rows.body(error) if error else None
        try:
            self._database.write_one(
                "record the end of a run",
                statements.end_run,
                run_id,
                attempt_n,
                status,
                rows.time(at),
                ending,
                error_body,
            )
        finally:
            # Also when it could not be recorded: nobody works on it any more, and without a heartbeat it reads so.
            self._deactivate(run_id, attempt_n)

    def get(self, run_id: str) -> RunRecord:
        return self._settled(lambda: self._look_at(run_id))[0]

    def find(self, prefix: str) -> str:
        wanted = prefix.upper()
        with self._database.read("find a run") as connection:
            # The whole id comes first, and is enough.
            found: list[tuple[str]] = connection.execute(
                """SELECT run_id FROM runs WHERE substr(upper(run_id), 1, length(?1)) = ?1
                ORDER BY length(run_id) LIMIT 2""",
                (wanted,),
            ).fetchall()
        if not found or (len(found) > 1 and found[0][0].upper() != wanted):
            raise RunNotFound(prefix, is_ambiguous=bool(found))
        return found[0][0]

    def list_runs(self, query: RunFilter) -> tuple[RunRecord, ...]:
        return self._settled(lambda: self._look_for(query))

    def manifests(self, run_id: str) -> tuple[StepManifest, ...]:
        with self._database.read("read manifests") as connection:
            statements.run_row(connection, run_id)
            entries = statements.entries(connection, run_id)
        kept = run_state.latest(
            (attempt_n, manifest) for attempt_n, entry in entries for manifest in rows.read_manifests(entry)
        )
        return tuple(kept.values())

    def definition(self, sha256: str) -> JSONObject:
        with self._database.read("read a definition") as connection:
            row = connection.execute("SELECT body FROM definitions WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            raise StoreError(f"no definition with the hash {sha256} is kept")
        try:
            kept: JSONObject = orjson.loads(row[0])
        except orjson.JSONDecodeError as error:
            raise StoreError(f"the kept definition with the hash {sha256} is damaged") from error
        return kept

    def prune(self, before: datetime, *, dry_run: bool) -> Pruned:
        # A dry run does the same and takes it back, so that it cannot say anything else.
        with self._database.write("prune runs", keep=not dry_run) as connection:
            held = functools.cache(self._is_held)
            kept = [RunRow(*fields) for fields in connection.execute(RunRow.SELECT)]
            run_ids = retention.expired((row.end(self._status(row, held)) for row in kept), before)
            definitions = statements.delete_runs(connection, run_ids)
            statements.delete_workers(connection, held)
            going = set(run_ids)
            staying = {row.run_id for row in kept} - going
            values = [
                values
                for values in self._private.kept()
                if values.run_id in going or (values.run_id not in staying and values.changed_at < before)
            ]
        if not dry_run:
            # After the record: a run that can still be seen as one to resume has its values.
            for kept_values in values:
                self._private.remove(kept_values.run_id)
        return Pruned(
            run_ids=run_ids, definitions=definitions, private_bytes=sum(kept_values.size for kept_values in values)
        )

    def close(self) -> None:
        """Runs that are still running read as interrupted from here on."""
        self._heartbeat.stop()
        try:
            self._worker.release()
        finally:
            self._database.close()

    def _look_at(self, run_id: str) -> _Look:
        with self._database.read("read a run") as connection:
            row = statements.run_row(connection, run_id)
            earlier = statements.earlier_attempts(connection, run_id)
            entries = statements.entries(connection, run_id)
        status = self._status(row)
        record = row.read(
            status,
            attempts=(*(rows.earlier_attempt(run_id, one) for one in earlier), row.last_attempt(status)),
            outcomes=tuple(
                (attempt_n, outcome) for attempt_n, entry in entries for outcome in rows.read_outcomes(entry)
            ),
        )
        return _Look(records=(record,), lost=_lost([(row, status)]))

    def _look_for(self, query: RunFilter) -> _Look:
        held = functools.cache(self._is_held)
        found: list[tuple[RunRow, RunStatus]] = []
        with self._database.read("list runs") as connection, statements.newest_first(connection, query) as kept:
            while len(found) < query.limit and (row := next(kept, None)):
                status = self._status(row, held)
                if query.status in (None, status):
                    found.append((row, status))
        return _Look(records=tuple(row.read(status) for row, status in found), lost=_lost(found))

    @staticmethod
    def _settled(look: Callable[[], _Look]) -> tuple[RunRecord, ...]:
        """Between a look at a run and the probe of its worker, the worker may have ended the run, and itself.

        So whatever seems interrupted is looked at again, until it is the same twice: the dead write no more.
        """
        seen, now = None, look()
        while now.lost and (seen is None or now.lost != seen.lost):
            seen, now = now, look()
        return now.records

    def _open_database(self) -> Database:
        return Database(self._folder / "runs.db", now=self._clock.now())

    def _forget_left_overs(self) -> None:
        """Remove the values that a killed process left of runs it never recorded, or had no time to forget."""
        if not self._private.run_ids():
            return
        # While nobody else may write, no run with values is about to be recorded.
        with self._database.write("look for values left over", keep=False) as connection:
            for run_id in self._private.run_ids():
                root = statements.root_of(connection, run_id)
                if root is None or (
                    run_state.is_finished(rows.status(root.status)) and not self._private.is_kept(root.run_id)
                ):
                    self._private.remove(run_id)

    def _hold_worker(self) -> str:
        self._worker.hold()
        return self._worker.worker_id

    def _activate(self, run_id: str, attempt_n: int) -> None:
        with self._mutex:
            self._active[run_id, attempt_n] = _Position()
        self._heartbeat.ensure()

    def _deactivate(self, run_id: str, attempt_n: int) -> None:
        with self._mutex:
            self._active.pop((run_id, attempt_n), None)

    def _sign(self, connection: sqlite3.Connection) -> float:
        """Give a sign of life, unless one was given just now. When the last was given, for when this is committed."""
        monotonic_s = self._clock.monotonic()
        if monotonic_s - self._signed_s < self._heartbeat_s / 2:
            return self._signed_s
        statements.sign(connection, self._worker.worker_id, self._clock.now(), monotonic_s)
        return monotonic_s

    def _beat(self) -> None:
        # A connection of its own: the store's may be busy for long, and that is no reason to look dead.
        database = self._open_database()
        try:
            with database.write("record a heartbeat") as connection:
                signed_s = self._sign(connection)
            self._signed_s = signed_s
        finally:
            database.close()

    def _is_held(self, worker_id: str) -> bool:
        return liveness.is_held(self._workers, worker_id)

    def _status(self, row: RunRow, is_held: Callable[[str], bool] | None = None) -> RunStatus:
        """What the run reads as: one whose worker is dead, or gave no sign for long, is interrupted."""
        status = rows.status(row.status)
        if status is not RunStatus.RUNNING:
            return status
        is_fresh = row.monotonic_s is not None and self._clock.monotonic() - row.monotonic_s <= self._stale_after_s
        return status if is_fresh and (is_held or self._is_held)(row.worker_id) else RunStatus.INTERRUPTED

    def _settle_rivals(self, connection: sqlite3.Connection, record: RunRecord) -> None:
        """Raise JobBusy for a live run of the job; note of the others that they were interrupted.

        The note fences them off: a process that was only paused may not go on beside the new run.
        """
        for fields in connection.execute(
            f"{RunRow.SELECT} WHERE status = 'running' AND job_id = ? AND namespace = ?",
            (record.job_id, record.namespace),
        ).fetchall():
            rival = RunRow(*fields)
            if self._status(rival) is RunStatus.RUNNING:
                raise JobBusy(job_id=record.job_id, namespace=record.namespace, run_id=rival.run_id)
            statements.interrupt(connection, rival.run_id)


def _lost(looked_at: Sequence[tuple[RunRow, RunStatus]]) -> frozenset[RunRow]:
    return frozenset(
        row for row, status in looked_at if status is RunStatus.INTERRUPTED and row.status == RunStatus.RUNNING
    )
