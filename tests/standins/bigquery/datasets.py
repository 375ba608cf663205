"""The resources of datasets; each is a schema of the engine."""

from __future__ import annotations

import threading

from tests.standins.bigquery.errors import JSONObject, Refusal
from tests.standins.bigquery.sql.engine import Engine
from tests.standins.bigquery.sql.values import quoted


class Datasets:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[str, JSONObject] = {}
        self._making = threading.Lock()

    def insert(self, given: JSONObject) -> JSONObject:
        name = given["datasetReference"]["datasetId"]
        # Of several who make a dataset at once, one does.
        with self._making:
            if name in self._kept:
                raise Refusal("duplicate", f"Already Exists: Dataset {self._engine.project}:{name}")
            self._engine.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}")
            return self._keep(name, given)

    def adopt(self, name: str) -> None:
        """A schema made by a statement."""
        if name not in self._kept:
            self._keep(name, {})

    def forget(self, name: str) -> None:
        self._kept.pop(name, None)

    def get(self, name: str) -> JSONObject:
        if name not in self._kept:
            raise Refusal("notFound", f"Not found: Dataset {self._engine.project}:{name}")
        return self._kept[name]

    def listed(self) -> list[JSONObject]:
        fields = ("kind", "id", "datasetReference", "labels", "location", "friendlyName")
        return [
            {field: dataset[field] for field in fields if field in dataset} for _, dataset in sorted(self._kept.items())
        ]

    def patch(self, name: str, given: JSONObject) -> JSONObject:
        kept = {**self.get(name), **given}
        self._kept[name] = {field: value for field, value in kept.items() if value is not None}
        return self._kept[name]

    def delete(self, name: str, *, contents: bool) -> None:
        self.get(name)
        tables = "SELECT 1 FROM information_schema.tables WHERE table_schema = ?"
        if not contents and self._engine.run(tables, [name]):
            message = f"Dataset {self._engine.project}:{name} is still in use"
            raise Refusal("resourceInUse", message)
        self._engine.run(f"DROP SCHEMA {quoted(name)} CASCADE")
        del self._kept[name]

    def _keep(self, name: str, given: JSONObject) -> JSONObject:
        project = self._engine.project
        self._kept[name] = {
            "location": "US",
            **{field: value for field, value in given.items() if value is not None},
            "kind": "bigquery#dataset",
            "id": f"{project}:{name}",
            "datasetReference": {"projectId": project, "datasetId": name},
        }
        return self._kept[name]
