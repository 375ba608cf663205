"""Runs load jobs of newline-delimited JSON: all rows or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from tests.standins.bigquery import honoured
from tests.standins.bigquery.errors import JSONObject, Refusal, refuse_other_fields, unsupported
from tests.standins.bigquery.jobs import Job, Jobs
from tests.standins.bigquery.sql.engine import Engine
from tests.standins.bigquery.sql.interpreter import Checkpoint
from tests.standins.bigquery.sql.values import column_type, quoted
from tests.standins.bigquery.tables import Tables, column


class LoadJobs:
    def __init__(self, engine: Engine, tables: Tables, jobs: Jobs) -> None:
        self._engine = engine
        self._tables = tables
        self._jobs = jobs

    def start(self, job: Job, data: bytes | None) -> None:
        given = job.configuration["load"]
        refuse_other_fields(given, honoured.LOAD, "load jobs")
        if data is None:
            raise unsupported("loads without an upload (sourceUris)")
        if given.get("sourceFormat") != "NEWLINE_DELIMITED_JSON":
            raise unsupported(f"loads of {given.get('sourceFormat', 'CSV')}")
        self._jobs.start(job, lambda checkpoint: self._run(job, given, data, checkpoint))

    def _run(self, job: Job, given: JSONObject, data: bytes, checkpoint: Checkpoint) -> None:
        checkpoint(0)
        lines = data.decode().splitlines()
        rows = [_parsed(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
        reference = given["destinationTable"]
        dataset, name = reference["datasetId"], reference["tableId"]
        exists = self._tables.kind_of(dataset, name) is not None
        if not exists and given.get("createDisposition") == "CREATE_NEVER":
            raise Refusal("notFound", f"Not found: Table {self._engine.project}:{dataset}.{name}")
        disposition = given.get("writeDisposition") or "WRITE_APPEND"
        if disposition not in {"WRITE_APPEND", "WRITE_EMPTY", "WRITE_TRUNCATE"}:
            raise unsupported(disposition)
        if exists and disposition == "WRITE_EMPTY" and self._tables.rows(dataset, name):
            raise Refusal("duplicate", f"Already Exists: Table {self._engine.project}:{dataset}.{name}")
        fields = self._fields(given, rows, dataset, name, exists)
        _check_names(rows, fields, ignore=bool(given.get("ignoreUnknownValues")))
        normal = [{field["name"]: _normal(field, row.get(field["name"])) for field in fields} for row in rows]
        if not exists:
            declared = {key: given[key] for key in ("timePartitioning", "clustering") if given.get(key)}
            table = {"tableReference": reference, "schema": {"fields": fields}, **declared}
            self._tables.insert(dataset, table)
        elif "ALLOW_FIELD_ADDITION" in (given.get("schemaUpdateOptions") or ()):
            self._tables.widen(dataset, name, fields)
        self._insert(dataset, name, fields, normal, replace=disposition == "WRITE_TRUNCATE")
        job.rows_loaded = len(rows)
        checkpoint(1)

    def _fields(
        self, given: JSONObject, rows: Sequence[JSONObject], dataset: str, name: str, exists: bool
    ) -> list[JSONObject]:
        declared = (given.get("schema") or {}).get("fields")
        if declared:
            return list(declared)
        if exists:
            return self._tables.fields(dataset, name)
        if not given.get("autodetect"):
            raise Refusal("invalid", "No schema specified on job or table.")
        found: dict[str, JSONObject] = {}
        for row in rows:
            for key, value in row.items():
                if value is not None:
                    found.setdefault(key, _detected(key, value))
        return list(found.values())

    def _insert(
        self, dataset: str, name: str, fields: Sequence[JSONObject], rows: Sequence[JSONObject], *, replace: bool
    ) -> None:
        path = f"{quoted(dataset)}.{quoted(name)}"
        names = ", ".join(quoted(field["name"]) for field in fields)
        values = ", ".join(_extract(field) for field in fields)
        queue = self._engine.locks.alone(f"{self._engine.project}:{dataset}.{name}") if replace else nullcontext()
        try:
            with queue, self._engine.together() as run:
                if replace:
                    run(f"CREATE OR REPLACE TABLE {path} ({', '.join(column(field) for field in fields)})")
                if rows:
                    source = "(SELECT unnest(CAST(? AS JSON[])) AS j)"
                    run(f"INSERT INTO {path} ({names}) SELECT {values} FROM {source}", [json.dumps(rows)])
        except Refusal as error:
            if error.reason != "invalidQuery":
                raise
            raise _bad_data(error.message) from error


def _bad_data(detail: str) -> Refusal:
    return Refusal("invalid", f"Error while reading data, error message: JSON parsing error: {detail}")


def _parsed(number: int, line: str) -> JSONObject:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise _bad_data(f"row {number} is not JSON") from error
    if not isinstance(found, dict):
        raise _bad_data(f"row {number} is not an object")
    return found


def _check_names(rows: Sequence[JSONObject], fields: Sequence[JSONObject], *, ignore: bool) -> None:
    known = {field["name"] for field in fields}
    for number, row in enumerate(rows, start=1):
        unknown = sorted(row.keys() - known)
        if unknown and not ignore:
            raise _bad_data(f"row {number}: No such field: {unknown[0]}.")


def _normal(field: JSONObject, value: Any) -> Any:
    """The value with every field of its records, and moments in UTC, as the engine reads them."""
    if field.get("mode") == "REPEATED":
        one = {**field, "mode": "REQUIRED"}
        return [_normal(one, item) for item in value or ()]
    if value is None:
        if field.get("mode") == "REQUIRED":
            raise _bad_data(f"Only optional fields can be set to NULL. Field: {field['name']}")
        return None
    match str(field["type"]).upper():
        case "RECORD" | "STRUCT":
            return {child["name"]: _normal(child, value.get(child["name"])) for child in field["fields"]}
        case "TIMESTAMP":
            return _moment(field, value)
        case _:
            return value


def _moment(field: JSONObject, value: Any) -> str:
    try:
        if isinstance(value, int | float):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(value.replace(" UTC", "+00:00"))
    except (ValueError, TypeError, AttributeError) as error:
        raise _bad_data(f"Couldn't convert value to timestamp. Field: {field['name']}") from error
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None).isoformat()


def _extract(field: JSONObject) -> str:
    path = "'" + f'$."{field["name"]}"'.replace("'", "''") + "'"
    kind = column_type(field)
    if kind == "JSON":
        return f"CASE WHEN json_type(j, {path}) = 'NULL' THEN NULL ELSE j -> {path} END"
    if kind == "BLOB":
        return f"from_base64(j ->> {path})"
    is_nested = field.get("mode") == "REPEATED" or kind.startswith("STRUCT")
    return f"CAST(j {'->' if is_nested else '->>'} {path} AS {kind})"


def _detected(name: str, value: Any) -> JSONObject:
    match value:
        case bool():
            kind = "BOOLEAN"
        case int():
            kind = "INTEGER"
        case float():
            kind = "FLOAT"
        case str():
            kind = "STRING"
        case _:
            raise unsupported(f"autodetection of nested values (field {name!r})")
    return {"name": name, "type": kind, "mode": "NULLABLE"}
