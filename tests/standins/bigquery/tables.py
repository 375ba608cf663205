"""The resources of tables and views: what was declared, joined with what the engine has."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

from sqlglot import exp

from tests.standins.bigquery import honoured
from tests.standins.bigquery.datasets import Datasets
from tests.standins.bigquery.errors import JSONObject, Refusal, refuse_other_fields, unsupported
from tests.standins.bigquery.sql import script
from tests.standins.bigquery.sql.engine import Engine, StatementResult
from tests.standins.bigquery.sql.interpreter import Interpreter
from tests.standins.bigquery.sql.values import column_type, quoted


class Tables:
    def __init__(self, engine: Engine, datasets: Datasets) -> None:
        self._engine = engine
        self._datasets = datasets
        self._declared: dict[tuple[str, str], JSONObject] = {}
        self._versions = itertools.count(1)
        self._making = threading.Lock()
        engine.observe_ddl = self._observe

    def insert(self, dataset: str, given: JSONObject) -> JSONObject:
        self._datasets.get(dataset)
        refuse_other_fields(given, honoured.TABLE, "tables.insert")
        name = given["tableReference"]["tableId"]
        # Of several who make a table at once, one does.
        with self._making:
            if self.kind_of(dataset, name) is not None:
                raise Refusal("duplicate", f"Already Exists: Table {self._path(dataset, name)}")
            if "view" in given:
                if given["view"].get("useLegacySql") is not False:
                    raise unsupported("legacy SQL (useLegacySql must be false)")
                self._run(dataset, f"CREATE VIEW `{dataset}`.`{name}` AS {given['view']['query']}")
            else:
                self.create(dataset, name, (given.get("schema") or {}).get("fields") or [])
            self._declare(dataset, name, given)
            return self.get(dataset, name)

    def create(self, dataset: str, name: str, fields: list[JSONObject], *, replace: bool = False) -> None:
        # DuckDB needs a column; a table without a schema waits for one.
        columns = ", ".join(column(field) for field in fields) or '"_no_columns" BOOLEAN'
        verb = "CREATE OR REPLACE TABLE" if replace else "CREATE TABLE"
        self._engine.run(f"{verb} {quoted(dataset)}.{quoted(name)} ({columns})")
        self._declare(dataset, name, {"schema": {"fields": fields}})

    def get(self, dataset: str, name: str) -> JSONObject:
        kind = self.kind_of(dataset, name)
        if kind is None:
            self._datasets.get(dataset)
            raise Refusal("notFound", f"Not found: Table {self._path(dataset, name)}")
        declared = self._declared.setdefault((dataset, name), self._fresh())
        found: JSONObject = {
            **declared,
            "kind": "bigquery#table",
            "id": f"{self._engine.project}:{dataset}.{name}",
            "tableReference": {"projectId": self._engine.project, "datasetId": dataset, "tableId": name},
            "type": kind,
            "location": self._datasets.get(dataset)["location"],
            "schema": {"fields": self.fields(dataset, name)},
        }
        if kind == "TABLE":
            [(rows,)] = self._engine.run(f"SELECT count(*) FROM {quoted(dataset)}.{quoted(name)}")
            found["numRows"] = str(rows)
        return found

    def fields(self, dataset: str, name: str) -> list[JSONObject]:
        declared = self._declared.get((dataset, name), {}).get("schema") or {}
        by_name = {field["name"]: field for field in declared.get("fields") or ()}
        actual = self._engine.fields(f"SELECT * FROM {quoted(dataset)}.{quoted(name)} LIMIT 0")
        sql = "SELECT column_name FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? AND NOT is_nullable"
        required = {column for (column,) in self._engine.run(sql, [dataset, name])}
        found = []
        for field in actual:
            if field["name"] in required:
                field["mode"] = "REQUIRED"
            if field["name"] != "_no_columns":
                found.append(_described(field, by_name.get(field["name"], {})))
        return found

    def listed(self, dataset: str) -> list[JSONObject]:
        self._datasets.get(dataset)
        names = self._engine.run(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY 1", [dataset]
        )
        fields = ("kind", "id", "tableReference", "type", "labels", "timePartitioning", "clustering", "creationTime")
        tables = [self.get(dataset, name) for (name,) in names]
        return [{field: table[field] for field in fields if field in table} for table in tables]

    def patch(self, dataset: str, name: str, given: JSONObject, *, if_match: str | None) -> JSONObject:
        current = self.get(dataset, name)
        refuse_other_fields(given, honoured.TABLE, "tables.patch")
        if if_match is not None and if_match != current["etag"]:
            raise Refusal("conditionNotMet", "Precondition Failed")
        if given.get("schema"):
            self.widen(dataset, name, given["schema"]["fields"])
        if given.get("view"):
            self._run(dataset, f"CREATE OR REPLACE VIEW `{dataset}`.`{name}` AS {given['view']['query']}")
        kept = {**self._declared[dataset, name], **given}
        labels = {key: value for key, value in (kept.get("labels") or {}).items() if value is not None}
        self._declare(dataset, name, {**kept, "labels": labels})
        return self.get(dataset, name)

    def widen(self, dataset: str, name: str, fields: list[JSONObject]) -> None:
        """Columns may be added, never taken away or changed in type."""
        known = {field["name"]: field for field in self.fields(dataset, name)}
        path = f"{quoted(dataset)}.{quoted(name)}"
        for lost in known.keys() - {field["name"] for field in fields}:
            message = f"Provided Schema does not match Table {self._path(dataset, name)}. Field {lost} is missing"
            raise Refusal("invalid", message)
        for field in fields:
            if field["name"] not in known:
                self._engine.run(f"ALTER TABLE {path} ADD COLUMN {column(field)}")
            elif column_type(known[field["name"]]) != column_type(field):
                raise Refusal("invalid", f"Field {field['name']} has changed type")
        if not known and fields:
            self._engine.run(f'ALTER TABLE {path} DROP COLUMN "_no_columns"')

    def delete(self, dataset: str, name: str) -> None:
        kind = self.get(dataset, name)["type"]
        self._engine.run(f"DROP {kind} {quoted(dataset)}.{quoted(name)}")
        self._declared.pop((dataset, name), None)

    def kind_of(self, dataset: str, name: str) -> str | None:
        sql = "SELECT table_type FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
        found = self._engine.run(sql, [dataset, name])
        return None if not found else "VIEW" if found[0][0] == "VIEW" else "TABLE"

    def rows(self, dataset: str, name: str) -> list[tuple[Any, ...]]:
        if self.get(dataset, name)["type"] == "VIEW":
            raise Refusal("invalid", "Cannot list a table of type VIEW.")
        columns = ", ".join(quoted(field["name"]) for field in self.fields(dataset, name)) or "NULL"
        return self._engine.run(f"SELECT {columns} FROM {quoted(dataset)}.{quoted(name)} ORDER BY rowid")

    def _run(self, dataset: str, sql: str) -> None:
        session = self._engine.session()
        try:
            Interpreter(
                session=session,
                project=self._engine.project,
                default_dataset=None,
                parameters={},
                checkpoint=lambda _: None,
            ).run([script.Sql(sql)])
        finally:
            session.close()

    def _path(self, dataset: str, name: str) -> str:
        return f"{self._engine.project}:{dataset}.{name}"

    def _fresh(self) -> JSONObject:
        now = str(int(time.time() * 1000))
        return {"creationTime": now, "lastModifiedTime": now, "etag": f"v{next(self._versions)}"}

    def _declare(self, dataset: str, name: str, given: JSONObject) -> None:
        stamps = self._fresh()
        before = self._declared.get((dataset, name), stamps)
        stamps["creationTime"] = before["creationTime"]
        kept = {field: value for field, value in given.items() if value is not None}
        self._declared[dataset, name] = {**kept, **stamps}

    def _observe(self, done: StatementResult) -> None:
        """What a DDL statement says beyond the columns."""
        dataset, name = done.target or ("", "")
        if done.kind == "CREATE_SCHEMA":
            self._datasets.adopt(dataset)
        elif done.kind == "DROP_SCHEMA":
            self._datasets.forget(dataset)
        elif done.kind.startswith("DROP"):
            self._declared.pop((dataset, name), None)
        elif done.kind == "CREATE_VIEW":
            query = done.tree.expression.sql(dialect="bigquery")
            said = {name: value for name, value in _declared_by(done.tree).items() if name in ("labels", "description")}
            self._declare(dataset, name, {"view": {"query": query, "useLegacySql": False}, **said})
        elif done.kind.startswith("CREATE_TABLE") and not (done.tree.args.get("exists") and self._known(dataset, name)):
            self._declare(dataset, name, _declared_by(done.tree))
        else:
            kept = self._declared.get((dataset, name), {})
            self._declare(dataset, name, kept)

    def _known(self, dataset: str, name: str) -> bool:
        return (dataset, name) in self._declared


def column(field: JSONObject) -> str:
    required = " NOT NULL" if field.get("mode") == "REQUIRED" else ""
    return f"{quoted(field['name'])} {column_type(field)}{required}"


def _described(actual: JSONObject, declared: JSONObject) -> JSONObject:
    kept = {name: declared[name] for name in ("description", "policyTags") if declared.get(name) is not None}
    return {**actual, **kept}


def _declared_by(tree: exp.Expr) -> JSONObject:
    found: JSONObject = {}
    clusters = tree.find(exp.ClusterProperty)
    if clusters is not None:
        found["clustering"] = {"fields": [column.name for column in clusters.expressions]}
    partition = tree.find(exp.PartitionedByProperty)
    if partition is not None:
        column = partition.find(exp.Column)
        unit = partition.this.args.get("unit")
        kind = unit.name.upper() if isinstance(unit, exp.Expr) else "DAY"
        found["timePartitioning"] = {"type": kind, **({"field": column.name} if column is not None else {})}
    properties = tree.args.get("properties")
    for option in properties.expressions if properties is not None else ():
        if isinstance(option, exp.Property) and option.name == "description":
            found["description"] = option.args["value"].name
        elif isinstance(option, exp.Property) and option.name == "labels":
            pairs = option.find_all(exp.Tuple)
            found["labels"] = {pair.expressions[0].name: pair.expressions[1].name for pair in pairs}
    found["schema"] = {"fields": list(_described_columns(tree))}
    return found


def _described_columns(tree: exp.Expr) -> Iterator[JSONObject]:
    for column_def in tree.find_all(exp.ColumnDef):
        for option in column_def.find_all(exp.Property):
            if option.name == "description":
                yield {"name": column_def.name, "description": option.args["value"].name}
