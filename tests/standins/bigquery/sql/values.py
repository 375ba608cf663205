"""Types and values: of query parameters, of DuckDB's results, of the cells on the wire."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from duckdb import DuckDBPyConnection

from tests.standins.bigquery.errors import JSONObject, Refusal, unsupported

TimestampFormat: TypeAlias = Literal["float", "int64", "iso"]

_SCALARS = {
    "BIGINT": "INTEGER",
    "INTEGER": "INTEGER",
    "SMALLINT": "INTEGER",
    "TINYINT": "INTEGER",
    "UBIGINT": "INTEGER",
    "UINTEGER": "INTEGER",
    "HUGEINT": "INTEGER",
    '"NULL"': "INTEGER",
    "DOUBLE": "FLOAT",
    "FLOAT": "FLOAT",
    "VARCHAR": "STRING",
    "UUID": "STRING",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP",
    "DATE": "DATE",
    "TIME": "TIME",
    "JSON": "JSON",
    "BLOB": "BYTES",
}

COLUMN_TYPES = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "INT64": "BIGINT",
    "FLOAT": "DOUBLE",
    "FLOAT64": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "BOOL": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP",
    "DATE": "DATE",
    "TIME": "TIME",
    "JSON": "JSON",
    "NUMERIC": "DECIMAL(38, 9)",
    "BIGNUMERIC": "DECIMAL(38, 9)",
}


# The API has older names than the SQL, where FLOAT would be read as a shorter type.
_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


@dataclass(frozen=True, slots=True)
class Typed:
    """A value with its type as BigQuery SQL writes it."""

    type: str
    value: Any


def sql_type(field: JSONObject) -> str:
    """The type of a field as BigQuery SQL writes it."""
    if field["type"] == "RECORD":
        inner = ", ".join(f"{child['name']} {sql_type(child)}" for child in field["fields"])
        found = f"STRUCT<{inner}>"
    else:
        found = str(_SQL_NAMES.get(field["type"], field["type"]))
    return f"ARRAY<{found}>" if field.get("mode") == "REPEATED" else found


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def column_type(field: JSONObject) -> str:
    """The DuckDB type of a field of a table."""
    kind = str(field["type"]).upper()
    if kind in {"RECORD", "STRUCT"}:
        inner = ", ".join(f"{quoted(child['name'])} {column_type(child)}" for child in field["fields"])
        found = f"STRUCT({inner})"
    elif kind in COLUMN_TYPES:
        found = COLUMN_TYPES[kind]
    else:
        raise unsupported(f"columns of type {kind}")
    return found + "[]" if field.get("mode") == "REPEATED" else found


def field_of(name: str, kind: Any) -> JSONObject:
    """The field of a schema for a DuckDB type."""
    if kind.id == "list":
        inner = field_of(name, kind.children[0][1])
        if inner.get("mode") == "REPEATED":
            raise Refusal("invalidQuery", "Array of arrays is not supported")
        return {**inner, "mode": "REPEATED"}
    if kind.id == "struct":
        fields = [field_of(child, inner) for child, inner in kind.children]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields}
    text = str(kind)
    if text.startswith("DECIMAL"):
        return {"name": name, "type": "NUMERIC", "mode": "NULLABLE"}
    if text not in _SCALARS:
        raise unsupported(f"a result of type {text} (column {name!r})")
    return {"name": name, "type": _SCALARS[text], "mode": "NULLABLE"}


def result_fields(connection: DuckDBPyConnection) -> list[JSONObject]:
    fields = []
    for place, described in enumerate(connection.description or ()):
        name = described[0] if described[0].replace("_", "").isalnum() else f"f{place}_"
        fields.append(field_of(name, described[1]))
    return fields


def wire_rows(
    fields: Sequence[JSONObject], rows: Sequence[Sequence[Any]], timestamps: TimestampFormat
) -> list[JSONObject]:
    return [
        {"f": [{"v": _cell(field, value, timestamps)} for field, value in zip(fields, row, strict=True)]}
        for row in rows
    ]


def _cell(field: JSONObject, value: Any, timestamps: TimestampFormat) -> Any:
    if field.get("mode") == "REPEATED":
        one = {**field, "mode": "NULLABLE"}
        # A NULL array reads as an empty one.
        return [{"v": _cell(one, item, timestamps)} for item in value or ()]
    if value is None:
        return None
    if field["type"] == "RECORD":
        return {"f": [{"v": _cell(child, value[child["name"]], timestamps)} for child in field["fields"]]}
    return _scalar(value, timestamps)


def _scalar(value: Any, timestamps: TimestampFormat) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            if math.isfinite(value):
                return repr(value)
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case datetime():
            return _timestamp(value, timestamps)
        case date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)


def _timestamp(value: datetime, timestamps: TimestampFormat) -> str:
    moment = value.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    match timestamps:
        case "int64":
            return str(micros)
        case "iso":
            return moment.isoformat().replace("+00:00", "Z")
        case "float":
            return repr(micros / 1_000_000)


def parameters(given: Sequence[JSONObject], mode: str | None) -> dict[str, Typed]:
    """Query parameters by name; positional ones are called `1`, `2`, and so on."""
    found: dict[str, Typed] = {}
    for place, parameter in enumerate(given, start=1):
        name = parameter.get("name")
        if (mode == "POSITIONAL") == bool(name):
            raise Refusal("invalid", f"parameterMode {mode} does not fit parameter {name or place}")
        kind = parameter["parameterType"]
        found[name.lower() if name else str(place)] = Typed(
            _type_text(kind), _parameter_value(kind, parameter.get("parameterValue") or {})
        )
    return found


def _type_text(kind: JSONObject) -> str:
    match kind["type"]:
        case "ARRAY":
            return f"ARRAY<{_type_text(kind['arrayType'])}>"
        case "STRUCT":
            inner = ", ".join(f"{part['name']} {_type_text(part['type'])}" for part in kind["structTypes"])
            return f"STRUCT<{inner}>"
        case scalar if scalar in COLUMN_TYPES:
            return str(_SQL_NAMES.get(scalar, scalar))
        case other:
            raise unsupported(f"query parameters of type {other}")


def _parameter_value(kind: JSONObject, value: JSONObject) -> Any:
    match kind["type"]:
        case "ARRAY":
            return [_parameter_value(kind["arrayType"], item) for item in value.get("arrayValues") or ()]
        case "STRUCT":
            parts = value.get("structValues") or {}
            return {part["name"]: _parameter_value(part["type"], parts[part["name"]]) for part in kind["structTypes"]}
        case "BYTES" if value.get("value") is not None:
            return base64.b64decode(value["value"])
        case _:
            return value.get("value")
