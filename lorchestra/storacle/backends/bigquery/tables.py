"""Which tables there are in BigQuery, and the making of those that are not there yet."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from google.api_core import exceptions as api
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.backends.bigquery import sources
from lorchestra.storacle.backends.bigquery.declared import DeclaredLayout, field
from lorchestra.storacle.backends.bigquery.jobs import Jobs, label_value
from lorchestra.storacle.backends.bigquery.layout import Layout
from lorchestra.storacle.backends.bigquery.names import OWN, Names, TableId
from lorchestra.storacle.backends.bigquery.sources import Source
from lorchestra.storacle.backends.bigquery.states import CANONICAL
from lorchestra.storacle.backends.bigquery.undeclared import UndeclaredLayout
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import OWN_TABLES, Role, Table, Type, by_name

KIND = "storacle_kind"
"""The label that says what made a table: `table`, `result`, `view`, `own` or `staging`. Others are none of ours."""
NAMESPACE = "storacle_namespace"

_OWN = by_name(OWN_TABLES)
_STAGING_KEPT = timedelta(days=1)
# BigQuery counts from the beginning of the month.
_MONTH = timedelta(days=31)
_CLUSTERED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("raw", "raw_objects"): ("source_system", "object_type", "idem_key"),
    ("canonical", "canonical_objects"): ("source_system", "object_type", "idem_key"),
}
_MOST_CLUSTERED = 4


class Tables:
    """Remembers what it has found: while a service runs, tables are added, and removed with their namespace only."""

    def __init__(
        self, jobs: Jobs, names: Names, declared: Mapping[tuple[str, str], Table], *, ledger_kept: timedelta
    ) -> None:
        self._jobs = jobs
        self._names = names
        self._declared = declared
        self._ledger_kept = ledger_kept
        self._lock = threading.Lock()
        self._datasets: set[str] = set()
        self._made: set[TableId] = set()

    def declared(self, table: TableId) -> Table | None:
        return self._declared.get((table.dataset, table.table))

    def layout(self, table: TableId, key_columns: tuple[str, ...]) -> Layout:
        declared = self.declared(table)
        return UndeclaredLayout(key_columns) if declared is None else DeclaredLayout(declared)

    def find(self, table: TableId) -> bigquery.Table | None:
        physical = self._names.physical(table)
        try:
            return self._jobs.client.get_table(str(physical), retry=self._jobs.retry)
        except api.NotFound:
            return None

    def source(self, table: TableId) -> Source | None:
        """What can be read under a name; None when there is nothing.

        The columns that the declaration of a table has gained since it was made are added. Raises RpcError (conflict)
        for a table that somebody else made otherwise than it is declared.
        """
        physical = self._names.physical(table)
        declared = self.declared(table) or _OWN.get((table.dataset, table.table))
        if table not in self._made:
            found = self.find(table)
            if found is None:
                return None
            if declared is None and (found.labels or {}).get(KIND) != "table":
                # Made by a query, which may make it otherwise tomorrow, or by someone else.
                return sources.of_schema(physical, found)
            if self.declared(table) is not None:
                self._fit(found, self.layout(table, ()).schema)
            self._made.add(table)
        if declared is None:
            return sources.of_undeclared(physical)
        return sources.of_declared(physical, declared, is_own=self.declared(table) is None)

    def source_of(self, table: TableId, layout: Layout) -> Source:
        """The same for a table that is about to be made."""
        physical = self._names.physical(table)
        declared = layout.table if isinstance(layout, DeclaredLayout) else None
        return sources.of_undeclared(physical) if declared is None else sources.of_declared(physical, declared)

    def is_written_by_rows(self, table: TableId, source: Source) -> bool:
        """Rather than by a query, or by someone else."""
        return self.declared(table) is not None or source.holds_objects

    def unmade_source(self, table: TableId) -> Source | None:
        """A declared table that is not there, for whoever asks what its columns are."""
        declared = self.declared(table)
        return None if declared is None else sources.of_declared(self._names.physical(table), declared)

    def make(self, table: TableId, layout: Layout) -> None:
        """Unless it is there.

        Raises RpcError (conflict) for a name that something else has which is not written by rows.
        """
        if table in self._made:
            return
        found = self.find(table)
        if found is None:
            shape = bigquery.Table(str(self._names.physical(table)), schema=layout.schema)
            shape.labels = {KIND: "table", NAMESPACE: label_value(table.namespace)}
            self._arrange(shape, table, layout)
            self._create(table, shape)
        elif self.declared(table) is None and (found.labels or {}).get(KIND) != "table":
            raise RpcError(ErrorCode.CONFLICT)
        self._made.add(table)

    def make_own(self, namespace: str, *names: str) -> None:
        for name in names:
            table = TableId(namespace, OWN, name)
            if table in self._made:
                continue
            if self.find(table) is None:
                declared = _OWN[OWN, name]
                schema = [field(column) for column in declared.columns]
                if name == "_state":
                    schema.append(SchemaField(CANONICAL, "STRING"))
                shape = bigquery.Table(str(self._names.physical(table)), schema=schema)
                shape.labels = {KIND: "own", NAMESPACE: label_value(namespace)}
                shape.clustering_fields = list(declared.key_columns)
                if name == "_ledger":
                    kept = (self._ledger_kept + _MONTH) // timedelta(milliseconds=1)
                    shape.time_partitioning = bigquery.TimePartitioning("MONTH", "applied_at", kept)
                self._create(table, shape)
            self._made.add(table)

    def make_staging(self, table: TableId, schema: Sequence[SchemaField]) -> None:
        """A table that vanishes by itself, should nobody remove it."""
        namespace = table.namespace
        shape = bigquery.Table(str(self._names.physical(table)), schema=list(schema))
        shape.expires = datetime.now(UTC) + _STAGING_KEPT
        shape.labels = {KIND: "staging", NAMESPACE: label_value(namespace)}
        self._create(table, shape)

    def forget(self, namespace: str) -> None:
        self._made = {table for table in self._made if table.namespace != namespace}
        self._datasets.clear()

    def make_dataset(self, namespace: str, dataset: str) -> None:
        name = self._names.dataset(namespace, dataset)
        with self._lock:
            if name in self._datasets:
                return
            client = self._jobs.client
            try:
                client.get_dataset(name, retry=self._jobs.retry)
            except api.NotFound:
                made = bigquery.Dataset(f"{client.project}.{name}")
                made.location = client.location
                if namespace != PRODUCTION:
                    made.labels = {NAMESPACE: label_value(namespace)}
                client.create_dataset(made, exists_ok=True, retry=self._jobs.retry)
            self._datasets.add(name)

    def _create(self, table: TableId, shape: bigquery.Table) -> None:
        self.make_dataset(table.namespace, table.dataset)
        self._jobs.client.create_table(shape, exists_ok=True, retry=self._jobs.retry)

    def _arrange(self, shape: bigquery.Table, table: TableId, layout: Layout) -> None:
        """By month and not by day: an upsert reaches back to all of them, and BigQuery counts how many it changes."""
        chosen = _CLUSTERED.get((table.dataset, table.table), layout.key_names)
        shape.clustering_fields = list(chosen[:_MOST_CLUSTERED])
        declared = self.declared(table)
        times = [column for column in declared.columns if column.type is Type.TIMESTAMP] if declared else []
        by = next((column for column in times if column.role is Role.FIRST_SEEN), times[0] if times else None)
        if by is not None:
            shape.time_partitioning = bigquery.TimePartitioning(type_="MONTH", field=by.name)

    def _fit(self, found: bigquery.Table, wanted: Sequence[SchemaField]) -> None:
        """Add the columns that a table of ours lacks. Raises RpcError (conflict) for a table that is something else."""
        there = {one.name: sources.type_of(one) for one in found.schema}
        missing = [SchemaField(one.name, one.field_type) for one in wanted if one.name not in there]
        differs = any(there.get(one.name, sources.type_of(one)) != sources.type_of(one) for one in wanted)
        if differs or (missing and (found.labels or {}).get(KIND) != "table"):
            raise RpcError(ErrorCode.CONFLICT)
        if missing:
            found.schema = [*found.schema, *missing]
            self._jobs.client.update_table(found, ["schema"], retry=self._jobs.retry)
