"""The production backend: datasets of BigQuery, for several threads and processes."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.cloud.bigquery import DEFAULT_RETRY

from lorchestra.storacle.backends.base import Applied, Counts, NamespaceObject, Page, ReadyOp, Selection, UnitRefused
from lorchestra.storacle.backends.bigquery import errors, scripts
from lorchestra.storacle.backends.bigquery.config import BigQueryConfig
from lorchestra.storacle.backends.bigquery.errors import translated
from lorchestra.storacle.backends.bigquery.jobs import Jobs
from lorchestra.storacle.backends.bigquery.names import OWN, Names, TableId
from lorchestra.storacle.backends.bigquery.namespaces import Namespaces
from lorchestra.storacle.backends.bigquery.reading import Reader
from lorchestra.storacle.backends.bigquery.running import Runner
from lorchestra.storacle.backends.bigquery.scripts import Script
from lorchestra.storacle.backends.bigquery.selection import Query
from lorchestra.storacle.backends.bigquery.tables import Tables
from lorchestra.storacle.backends.bigquery.transaction import UNTOKENED, Transaction, claim_made
from lorchestra.storacle.backends.bigquery.unit import Unit
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Table, by_name

WINDOW_ROWS = 50_000


def _now() -> datetime:
    return datetime.now(UTC)


class BigQueryBackend:
    def __init__(
        self,
        config: BigQueryConfig,
        *,
        tables: Mapping[tuple[str, str], Table] | None = None,
        now: Callable[[], datetime] = _now,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        retry: Retry = DEFAULT_RETRY,
        window_rows: int = WINDOW_ROWS,
    ) -> None:
        """Nothing is asked of BigQuery until there is something to do."""
        self._now = now
        self._jobs = Jobs(config, retry=retry)
        self._names = Names(config)
        declared = by_name() if tables is None else tables
        self._tables = Tables(self._jobs, self._names, declared, ledger_kept=config.ledger_kept)
        self._reader = Reader(self._jobs, window_rows=window_rows)
        self._namespaces = Namespaces(self._jobs, self._tables, self._names)
        self._runner = Runner(self._jobs, most_attempts=config.most_attempts, sleep=sleep, chance=chance)

    def open_run(self, meta: Meta) -> int:
        with translated():
            token: int = self._anew(meta, lambda: self._open_run(meta))
            return token

    def apply(self, unit: Sequence[ReadyOp], meta: Meta) -> list[Applied]:
        with translated():
            applied: list[Applied] = self._anew(meta, lambda: self._apply(unit, meta))
            return applied

    def recorded(self, key: str, meta: Meta) -> Counts | None:
        with translated():
            found: dict[str, Counts] = self._anew(meta, lambda: self._recorded([key], meta))
            return found.get(key)

    def record(self, op: ReadyOp, counts: Counts, meta: Meta) -> None:
        def write(transaction: Transaction) -> None:
            transaction.apply(0, op, transaction.given(counts))

        self._transact(write, [op], meta)

    def announce(self, made: NamespaceObject, meta: Meta) -> None:
        self._transact(lambda transaction: transaction.announce(made), [], meta)

    def page(self, read: Read, meta: Meta, after: Sequence[Any] | None, limit: int) -> Page:
        with translated():
            query = self._query(read, meta)
            if query is None:
                return Page(rows=[], next=None)
            try:
                return self._reader.page(query, read, meta, after, limit)
            except api.NotFound:
                # It was there a moment ago: another process cleaned the namespace.
                self._tables.forget(_read_from(read, meta).namespace)
                return Page(rows=[], next=None)

    @contextlib.contextmanager
    def select(self, read: Read, meta: Meta) -> Iterator[Selection]:
        with translated():
            query = self._query(read, meta)
            rows = None if query is None else self._reader.everything(query, read, meta)
        if query is not None and rows is not None:
            yield Selection(columns=query.columns, rows=rows)
            return
        unmade = self._tables.unmade_source(_read_from(read, meta))
        if unmade is None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=("table",))
        yield Selection(columns=Query(unmade, read, markers=None).columns, rows=iter(()))

    def objects(self, namespace: str) -> list[NamespaceObject]:
        with translated():
            return self._namespaces.objects(namespace)

    def clean(self, namespace: str) -> None:
        with translated():
            self._namespaces.clean(namespace)

    def close(self) -> None:
        self._jobs.close()

    def _open_run(self, meta: Meta) -> int:
        self._tables.make_own(meta.namespace, "_runs")
        script = Script()
        runs = self._names.own(meta.namespace, "_runs").sql
        run_id, attempt_n = script.bind("STRING", meta.run_id), script.bind("INT64", meta.attempt_n)
        script.add(
            claim_made(runs, run_id),
            "BEGIN TRANSACTION",
            f"UPDATE {runs} SET token = token + 1, attempt_n = {attempt_n} "
            f"WHERE run_id = {run_id} AND attempt_n <= {attempt_n}",
            scripts.stop_if("@@row_count = 0", "fenced"),
            "COMMIT TRANSACTION",
            f"SELECT MAX(token) FROM {runs} WHERE run_id = {run_id}",
        )
        ((token,),) = (row.values() for row in self._runner.run_in_turn(script, meta))
        return int(token)

    def _apply(self, unit: Sequence[ReadyOp], meta: Meta) -> list[Applied]:
        staging = TableId(meta.namespace, OWN, f"_staged_{uuid.uuid4().hex}")
        transaction = Transaction(self._tables, self._names, meta, self._now(), staging)
        prepared = Unit(unit, transaction, self._jobs, self._tables, self._names, meta)
        self._make(transaction, meta)
        try:
            if prepared.makings:
                prepared.make(known=self._recorded([op.key for op in unit], meta))
            prepared.write()
            return self._load_and_commit(transaction, unit, meta)
        except (RpcError, UnitRefused):
            prepared.undo()
            raise
        except api.BadRequest as error:
            refused = prepared.refusal_of_query()
            if errors.is_conflict(error) or refused is None:
                raise
            prepared.undo()
            raise refused from None

    def _load_and_commit(self, transaction: Transaction, unit: Sequence[ReadyOp], meta: Meta) -> list[Applied]:
        table, staging = transaction.staging_table, transaction.staging
        if staging.is_empty:
            return self._commit(transaction, unit, meta)
        self._tables.make_staging(table, staging.schema)
        try:
            self._jobs.load(staging.lines, str(self._names.physical(table)), staging.schema, meta=meta)
            return self._commit(transaction, unit, meta)
        finally:
            self._drop(table)

    def _commit(self, transaction: Transaction, unit: Sequence[ReadyOp], meta: Meta) -> list[Applied]:
        self._tables.make_own(meta.namespace, *sorted(transaction.own_tables))
        transaction.commit(unit)
        answer = self._runner.run_in_turn(transaction.script, meta, unit)
        counts = {key: orjson.loads(counted) for _, key, counted in (row.values() for row in answer)}
        applied = {int(number) for row in answer[:1] for number in row.values()[0].split()}
        return [Applied(counts=counts[op.key], is_resend=number not in applied) for number, op in enumerate(unit)]

    def _make(self, transaction: Transaction, meta: Meta) -> None:
        for table, layout in transaction.new_tables.items():
            self._tables.make(table, layout)
        self._tables.make_own(meta.namespace, *sorted(transaction.own_tables))

    def _transact(self, write: Callable[[Transaction], None], ops: Sequence[ReadyOp], meta: Meta) -> None:
        """A transaction without rows."""

        def act() -> None:
            transaction = Transaction(self._tables, self._names, meta, self._now(), TableId(meta.namespace, OWN, ""))
            write(transaction)
            self._commit(transaction, ops, meta)

        with translated():
            self._anew(meta, act)

    def _recorded(self, keys: Sequence[str], meta: Meta) -> dict[str, Counts]:
        """The counts of ops that were applied. Raises RpcError (fenced)."""
        self._tables.make_own(meta.namespace, "_runs", "_ledger")
        script = Script()
        runs, ledger = (self._names.own(meta.namespace, name).sql for name in ("_runs", "_ledger"))
        run_id, asked = script.bind("STRING", meta.run_id), script.bind_all("STRING", list(keys))
        script.add(
            f"SELECT (SELECT MAX(token) FROM {runs} WHERE run_id = {run_id}) AS token, l.key, "
            f"TO_JSON_STRING(l.counts) AS counts FROM (SELECT 1 AS one) AS o "
            f"LEFT JOIN {ledger} AS l ON l.key IN UNNEST({asked})"
        )
        rows = [row.values() for row in self._runner.run(script, meta)]
        token = rows[0][0]
        if (token or UNTOKENED) != (UNTOKENED if meta.token is None else meta.token):
            raise RpcError(ErrorCode.FENCED)
        return {key: orjson.loads(counted) for _, key, counted in rows if key is not None}

    def _anew(self, meta: Meta, act: Callable[[], Any]) -> Any:
        """Once more when something is gone that was there: another process may have cleaned the namespace."""
        try:
            return act()
        except api.NotFound:
            self._tables.forget(meta.namespace)
            return act()

    def _drop(self, staging: TableId) -> None:
        # It expires by itself; a unit that is applied does not fail over it.
        with contextlib.suppress(*errors.FOREIGN):
            self._jobs.client.delete_table(str(self._names.physical(staging)), not_found_ok=True)

    def _query(self, read: Read, meta: Meta) -> Query | None:
        """The read, of a source and of the markers that say what of it is processed: those are the run's own."""
        source = self._tables.source(_read_from(read, meta))
        if source is None:
            return None
        markers = None
        if read.unprocessed is not None:
            found = self._tables.source(TableId(meta.namespace, OWN, "_processed"))
            markers = None if found is None else found.physical.sql
        return Query(source, read, markers=markers)


def _read_from(read: Read, meta: Meta) -> TableId:
    """Also a run that reads production has cursors and markers of its own."""
    namespace = meta.namespace if read.dataset == OWN else meta.read_namespace or meta.namespace
    return TableId(namespace, read.dataset, read.table)
