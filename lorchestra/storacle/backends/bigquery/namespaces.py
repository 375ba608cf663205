"""What a smoke namespace made in BigQuery, and its removal: only what carries the labels of the namespace goes."""

from __future__ import annotations

from google.api_core import exceptions as api

from lorchestra.storacle.backends.base import NamespaceObject
from lorchestra.storacle.backends.bigquery.jobs import Jobs, label_value
from lorchestra.storacle.backends.bigquery.names import OWN, Names, TableId
from lorchestra.storacle.backends.bigquery.tables import NAMESPACE, Tables


class Namespaces:
    def __init__(self, jobs: Jobs, tables: Tables, names: Names) -> None:
        self._jobs = jobs
        self._tables = tables
        self._names = names

    def objects(self, namespace: str) -> list[NamespaceObject]:
        made: list[NamespaceObject] = []
        if self._is_there(namespace, "_tables"):
            listed = self._names.own(namespace, "_tables").sql
            rows = self._jobs.rows(f"SELECT kind, dataset, name FROM {listed} ORDER BY dataset, name", meta=None)
            for kind, dataset, name in (row.values() for row in rows):
                made.append(NamespaceObject(kind="view" if kind == "view" else "table", name=f"{dataset}.{name}"))
        if self._is_there(namespace, "_namespace_objects"):
            listed = self._names.own(namespace, "_namespace_objects").sql
            rows = self._jobs.rows(f"SELECT kind, name FROM {listed} ORDER BY kind, name", meta=None)
            made += [NamespaceObject(kind=kind, name=name) for kind, name in (row.values() for row in rows)]
        return made

    def clean(self, namespace: str) -> None:
        """Storacle's own dataset goes last: until then the list is there, and all of it can be done again."""
        mine = {
            dataset.dataset_id
            for dataset in self._jobs.client.list_datasets(retry=self._jobs.retry)
            if self._names.logical(namespace, dataset.dataset_id) is not None
            and dataset.labels.get(NAMESPACE) == label_value(namespace)
        }
        own = self._names.dataset(namespace, OWN)
        for dataset in [*sorted(mine - {own}), *sorted(mine & {own})]:
            self._remove(namespace, dataset)
        self._tables.forget(namespace)

    def _remove(self, namespace: str, dataset: str) -> None:
        client, retry = self._jobs.client, self._jobs.retry
        for table in list(client.list_tables(dataset, retry=retry)):
            if table.labels.get(NAMESPACE) == label_value(namespace):
                client.delete_table(table, not_found_ok=True, retry=retry)
        try:
            client.delete_dataset(dataset, not_found_ok=True, retry=retry)
        except api.BadRequest:
            # Someone else put something into it, which stays.
            return

    def _is_there(self, namespace: str, table: str) -> bool:
        return self._tables.source(TableId(namespace, OWN, table)) is not None
