"""The conditions of a read as SQL over a declared table. What was asked for is always a bound value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from lorchestra.errors import Path
from lorchestra.storacle.backends.sqlite.declared import timestamp
from lorchestra.storacle.backends.sqlite.layout import SqlValue, quoted
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.read_spec import Comparison, Condition, Where
from lorchestra.storacle.row_filter import kind_of
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Column, Type

_OPERATORS: Mapping[Comparison, str] = {
    Comparison.EQ: "=",
    Comparison.NE: "<>",
    Comparison.LT: "<",
    Comparison.LTE: "<=",
    Comparison.GT: ">",
    Comparison.GTE: ">=",
}

_KINDS: Mapping[Type, int] = {Type.BOOL: 0, Type.INT64: 1, Type.FLOAT64: 1, Type.STRING: 2, Type.TIMESTAMP: 2}


@dataclass(slots=True)
class Clause:
    """Conditions joined by AND, and the values for their marks."""

    parts: list[str] = field(default_factory=list)
    values: list[SqlValue] = field(default_factory=list)

    def add(self, part: str, *values: SqlValue) -> None:
        self.parts.append(part)
        self.values += values

    @property
    def sql(self) -> str:
        return f" WHERE {' AND '.join(self.parts)}" if self.parts else ""


def clause(columns: Mapping[str, Column], where: Where, at: Path) -> Clause:
    """Raises RpcError (invalid params) for a column that is not there, or has no order to compare in."""
    made = Clause()
    for condition in where:
        column = columns.get(condition.column)
        if column is None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, condition.column))
        _add(made, column, condition, (*at, condition.column))
    return made


def _add(made: Clause, column: Column, condition: Condition, at: Path) -> None:
    name = quoted(column.name)
    if condition.comparison is Comparison.IS_NULL:
        made.add(f"{name} IS {'' if condition.value else 'NOT '}NULL")
        return
    if column.type is Type.JSON:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    if condition.comparison is Comparison.IN:
        asked = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        fitting = [_operand(column, value, at) for value in asked if kind_of(value) == _KINDS[column.type]]
        made.add(f"{name} IN (SELECT value FROM json_each(?))", orjson.dumps(fitting).decode())
    elif kind_of(condition.value) == _KINDS[column.type]:
        made.add(f"{name} {_OPERATORS[condition.comparison]} ?", _operand(column, condition.value, at))
    else:
        # A text is no number: it differs from each, and has no place among them.
        made.add(f"{name} IS NOT NULL" if condition.comparison is Comparison.NE else "0")


def _operand(column: Column, value: Any, at: Path) -> SqlValue:
    if column.type is not Type.TIMESTAMP:
        return int(value) if isinstance(value, bool) else value
    try:
        return timestamp(value)
    except ValueError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
