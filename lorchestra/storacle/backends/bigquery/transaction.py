"""A unit of ops as one script: BEGIN, the claim on the run, each op unless the ledger knows it, COMMIT.

Every transaction updates the run's row in `_runs`. BigQuery lets no two transactions change one table at once, so of
two writers in a namespace one fails and tries again, and what a transaction reads stays true until it commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import orjson

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, NamespaceObject, ReadyOp
from lorchestra.storacle.backends.bigquery import asserting, merging, scripts, states
from lorchestra.storacle.backends.bigquery.layout import Layout, Moment
from lorchestra.storacle.backends.bigquery.merging import FOUND, CountsSql
from lorchestra.storacle.backends.bigquery.names import Names, TableId, quoted
from lorchestra.storacle.backends.bigquery.scripts import Script
from lorchestra.storacle.backends.bigquery.sources import Source
from lorchestra.storacle.backends.bigquery.staging import StagedOp, Staging
from lorchestra.storacle.backends.bigquery.tables import Tables
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods.rows import Rows
from lorchestra.storacle.methods.state import StatePut
from lorchestra.storacle.params import Meta
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import tag_of

APPLIED = "v_applied"
UNTOKENED = 0
"""The token of a run that nobody opened."""

Write: TypeAlias = Callable[[], CountsSql]
"""Adds the statements of an op to the script."""


class Transaction:
    """Collects the statements of a unit, and what has to be there before. Nothing is sent."""

    def __init__(self, tables: Tables, names: Names, meta: Meta, now: datetime, staging_table: TableId) -> None:
        """Raises RpcError (fenced) for a token that no run can have."""
        if meta.token is not None and not UNTOKENED < meta.token < 2**63:
            raise RpcError(ErrorCode.FENCED)
        self._tables = tables
        self._names = names
        self._meta = meta
        self.staging = Staging()
        self.staging_table = staging_table
        self.own_tables = {"_runs", "_ledger"}
        self.new_tables: dict[TableId, Layout] = {}
        self.script = Script()
        self._layouts: dict[TableId, Layout] = {}
        self._now = self.script.bind("TIMESTAMP", now)
        self._run_id = self.script.bind("STRING", meta.run_id)
        self._begin()

    # What a unit can do

    def apply(self, number: int, op: ReadyOp, write: Write) -> None:
        """Unless the ledger knows the op."""
        meta, script, ledger = self._meta, self.script, self._own("_ledger")
        key = script.bind("STRING", op.key)
        script.add(f"IF NOT EXISTS (SELECT 1 FROM {ledger} WHERE key = {key}) THEN")
        counts = write()
        texts = (
            meta.run_id, meta.job_id, meta.job_version, meta.step_id, op.op_id, op.method, meta.code_sha256,
            op.content_sha256,
        )  # fmt: skip
        said = ", ".join(script.bind("STRING", text) for text in texts)
        counted = ", ".join(f"{sql} AS {name}" for name, sql in counts.items())
        script.add(
            f"INSERT INTO {ledger} (key, run_id, job_id, job_version, step_id, op_id, method, code_sha256, "
            f"content_sha256, tag, counts, applied_at) "
            f"VALUES ({key}, {said}, {self._tag(op)}, TO_JSON(STRUCT({counted})), {self._now})",
            f"SET {APPLIED} = CONCAT({APPLIED}, '{number} ')",
            "END IF",
        )

    def rows(self, number: int, op: ReadyOp, params: Rows) -> Write:
        """Of an upsert, an append or a delete. Raises RpcError for rows that do not fit, with their place."""
        keys_only = op.method == "table.delete"
        table = TableId(self._meta.namespace, params.dataset, params.table)
        layout = self._layout(table, params.key_columns, op.at)
        staged = self.staging.add(number, layout, params.rows, op.at, keys_only=keys_only)
        source = self.source(table)
        if source is not None and not self._tables.is_written_by_rows(table, source):
            raise RpcError(ErrorCode.CONFLICT, at=(*op.at, "table"))
        is_there = source is not None
        if not is_there and not keys_only and params.rows:
            self.new_tables[table] = layout
            is_there = True
        return lambda: self._write_rows(number, op, table, staged, is_there=is_there)

    def put_state(self, number: int, params: StatePut) -> Write:
        self.own_tables.add("_state")
        return lambda: states.put(self.script, self._own("_state"), params, number)

    def check(self, number: int, params: asserting.Assertion, at: Path) -> Write:
        """Of an assertion. Raises RpcError for conditions on fields that are not there."""
        table = TableId(self._meta.namespace, params.dataset, params.table)
        questions = asserting.questions(self.source(table), params, self.script, at)

        def write() -> CountsSql:
            self.script.add(*(f"SET {variable} = ({query})" for variable, query in questions.items()))
            self.script.add(scripts.stop_if(f"NOT ({asserting.holds(params)})", "assertion", op=number))
            return {"matched": FOUND}

        return write

    def given(self, counts: Counts) -> Write:
        """Of an op that was carried out elsewhere."""
        return lambda: {name: str(int(count)) for name, count in counts.items()}

    def replace_rows(self, number: int, table: TableId, columns: Sequence[str], query: str) -> CountsSql:
        """The rows of a table that a query makes."""
        target, gathered = self._names.physical(table).sql, f"gathered_{number}"
        self.script.add(
            # Gathered first, since the query may read the table that it replaces.
            f"CREATE TEMP TABLE {gathered} AS\n{query}",
            f"DELETE FROM {target} WHERE TRUE",
            f"INSERT INTO {target} ({', '.join(map(quoted, columns))}) SELECT * FROM {gathered}",
            f"SET {FOUND} = @@row_count",
        )
        return {"rows": FOUND}

    def count_rows(self, table: TableId) -> CountsSql:
        self.script.add(f"SET {FOUND} = (SELECT COUNT(*) FROM {self._names.physical(table).sql})")
        return {"rows": FOUND}

    def enter(self, table: TableId, kind: str, about: Mapping[str, Any]) -> None:
        """Put a table or view into the list of those that there are."""
        self.own_tables.add("_tables")
        script = self.script
        dataset, name = script.bind("STRING", table.dataset), script.bind("STRING", table.table)
        script.add(
            f"MERGE {self._own('_tables')} AS t USING (SELECT {dataset} AS dataset, {name} AS name) AS s "
            f"ON t.dataset = s.dataset AND t.name = s.name "
            f"WHEN MATCHED THEN UPDATE SET kind = '{kind}', about = {self._json(about)} "
            f"WHEN NOT MATCHED THEN INSERT (dataset, name, kind, about) "
            f"VALUES (s.dataset, s.name, '{kind}', {self._json(about)})"
        )

    def announce(self, made: NamespaceObject) -> None:
        self.own_tables.add("_namespace_objects")
        script = self.script
        kind, name = script.bind("STRING", made.kind), script.bind("STRING", made.name)
        script.add(
            f"MERGE {self._own('_namespace_objects')} AS t USING (SELECT {kind} AS kind, {name} AS name) AS s "
            f"ON t.kind = s.kind AND t.name = s.name "
            f"WHEN NOT MATCHED THEN INSERT (kind, name, run_id) VALUES (s.kind, s.name, {self._run_id})"
        )

    def commit(self, ops: Sequence[ReadyOp]) -> None:
        """The end: the answer is the ops that were applied now, and the ledger's counts of all."""
        keys = self.script.bind_all("STRING", [op.key for op in ops])
        self.script.add(
            "COMMIT TRANSACTION",
            f"SELECT {APPLIED} AS applied, key, TO_JSON_STRING(counts) AS counts FROM {self._own('_ledger')} "
            f"WHERE key IN UNNEST({keys})",
        )

    # How it is said

    def _begin(self) -> None:
        script, runs = self.script, self._own("_runs")
        script.add(
            f"DECLARE {APPLIED} STRING DEFAULT ''",
            f"DECLARE {FOUND} INT64",
            f"DECLARE {asserting.DIFFERENT} INT64",
            f"DECLARE {states.STORED} STRING",
            f"DECLARE {states.CHANGE} STRING",
        )
        if self._meta.token is None:
            # So that there is a row to claim. Before the transaction: new rows alone would conflict with nobody.
            script.add(claim_made(runs, self._run_id))
        token = script.bind("INT64", UNTOKENED if self._meta.token is None else self._meta.token)
        script.add(
            "BEGIN TRANSACTION",
            f"UPDATE {runs} SET token = token WHERE run_id = {self._run_id} AND token = {token}",
            scripts.stop_if("@@row_count = 0", "fenced"),
        )

    def _write_rows(self, number: int, op: ReadyOp, table: TableId, staged: StagedOp, *, is_there: bool) -> CountsSql:
        script, layout = self.script, self._layouts[table]
        if not is_there:
            return {"deleted": "0", "absent": str(staged.rows)} if op.method == "table.delete" else _NOTHING[op.method]
        self._check_key(number, table, layout)
        rows = merging.Rows(
            op=number,
            staging=self._names.physical(self.staging_table).sql,
            staged=staged,
            target=self._names.physical(table).sql,
            layout=layout,
            moment=Moment(at=self._now, run_id=self._run_id, tag=self._tag(op)),
        )
        match op.method:
            case "table.upsert":
                return merging.upsert(script, rows)
            case "table.delete":
                return merging.delete(script, rows)
            case _:
                return merging.append(script, rows)

    def _check_key(self, number: int, table: TableId, layout: Layout) -> None:
        """Whoever writes a table first says what its key is."""
        self.own_tables.add("_tables")
        script, listed = self.script, self._own("_tables")
        about = {"key_columns": list(layout.key_columns)}
        dataset, name = script.bind("STRING", table.dataset), script.bind("STRING", table.table)
        entry = f"SELECT 1 FROM {listed} WHERE dataset = {dataset} AND name = {name}"
        text = script.bind("STRING", orjson.dumps(about).decode())
        script.add(
            scripts.stop_if(f"EXISTS ({entry} AND TO_JSON_STRING(about) != {text})", "key_columns", op=number),
            f"IF NOT EXISTS ({entry}) THEN INSERT INTO {listed} (dataset, name, kind, about) "
            f"VALUES ({dataset}, {name}, 'table', {self._json(about)}); END IF",
        )

    def _layout(self, table: TableId, key_columns: tuple[str, ...], at: Path) -> Layout:
        known = self._layouts.get(table)
        if known is None:
            known = self._layouts[table] = self._tables.layout(table, key_columns)
        if known.key_columns != key_columns:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "key_columns"))
        return known

    def source(self, table: TableId) -> Source | None:
        """What can be read under a name within the transaction."""
        layout = self.new_tables.get(table)
        return self._tables.source(table) if layout is None else self._tables.source_of(table, layout)

    def _own(self, name: str) -> str:
        return self._names.own(self._meta.namespace, name).sql

    def _tag(self, op: ReadyOp) -> str:
        return self.script.bind("INT64", tag_of(op.key))

    def _json(self, value: Any) -> str:
        return states.parsed(self.script.bind("STRING", orjson.dumps(value).decode()))


def claim_made(runs: str, run_id: str) -> str:
    return (
        f"MERGE {runs} AS t USING (SELECT {run_id} AS run_id) AS s ON t.run_id = s.run_id "
        f"WHEN NOT MATCHED THEN INSERT (run_id, token, attempt_n) VALUES (s.run_id, {UNTOKENED}, 1)"
    )


_NOTHING: Mapping[str, CountsSql] = {
    "table.upsert": {"inserted": "0", "updated": "0", "unchanged": "0"},
    "table.insert": {"inserted": "0", "unchanged": "0"},
    "wal.append": {"inserted": "0", "unchanged": "0"},
    "event.append": {"inserted": "0", "unchanged": "0"},
}
