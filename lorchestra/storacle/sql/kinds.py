"""The kinds of value that SQL knows here, and how SQLite keeps them.

A TIMESTAMP is text of one fixed width, always UTC: `YYYY-MM-DDTHH:MM:SS.ffffffZ`. So the order of the texts is the
order of the times. A DATE is `YYYY-MM-DD`, a BOOL 0 or 1, an ARRAY a JSON array, JSON its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sqlglot import exp


class Kind(StrEnum):
    STRING = "STRING"
    INT64 = "INT64"
    FLOAT64 = "FLOAT64"
    BOOL = "BOOL"
    TIMESTAMP = "TIMESTAMP"
    DATE = "DATE"
    JSON = "JSON"
    ARRAY = "ARRAY"


# Said of columns: a type name that SQLite does not know could make a number of a text.
STORED_AS: Mapping[Kind, str] = {
    Kind.STRING: "TEXT",
    Kind.INT64: "INTEGER",
    Kind.FLOAT64: "REAL",
    Kind.BOOL: "INTEGER",
    Kind.TIMESTAMP: "TEXT",
    Kind.DATE: "TEXT",
    Kind.JSON: "TEXT",
    Kind.ARRAY: "TEXT",
}

NUMBERS = frozenset({Kind.INT64, Kind.FLOAT64})

_TYPES: Mapping[str, Kind] = {
    "VARCHAR": Kind.STRING,
    "TEXT": Kind.STRING,
    "BIGINT": Kind.INT64,
    "INT": Kind.INT64,
    "DOUBLE": Kind.FLOAT64,
    "FLOAT": Kind.FLOAT64,
    "BOOLEAN": Kind.BOOL,
    "TIMESTAMPTZ": Kind.TIMESTAMP,
    "DATE": Kind.DATE,
    "JSON": Kind.JSON,
    "ARRAY": Kind.ARRAY,
}


def of_type(kind: exp.DataType | None) -> Kind | None:
    return _TYPES.get(kind.this.name) if kind is not None and hasattr(kind.this, "name") else None


def of(node: exp.Expr) -> Kind | None:
    """The kind of an expression's value; None where it is not known, as of NULL and of parameters."""
    return None if isinstance(node, exp.Null) else of_type(node.type)


def family(kind: Kind) -> str:
    """Kinds of one family compare with each other."""
    return "number" if kind in NUMBERS else kind.value
