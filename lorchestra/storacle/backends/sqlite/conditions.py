"""The conditions of a read as SQL. What was asked for is always a bound value; as in SQL, null fulfils none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import orjson

from lorchestra.errors import Path
from lorchestra.storacle.backends.moments import timestamp
from lorchestra.storacle.backends.sqlite.layout import SqlValue
from lorchestra.storacle.backends.sqlite.sources import Expression, Source
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.plain_values import Kind, kind_of
from lorchestra.storacle.read_spec import Comparison, Condition, Where
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Type

_OPERATORS: Mapping[Comparison, str] = {
    Comparison.EQ: "=",
    Comparison.NE: "<>",
    Comparison.LT: "<",
    Comparison.LTE: "<=",
    Comparison.GT: ">",
    Comparison.GTE: ">=",
}


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


def clause(source: Source, where: Where, at: Path) -> Clause:
    """Raises RpcError (invalid params) for a field that is not there, or has no order to compare in."""
    made = Clause()
    if source.namespace is not None:
        made.add("namespace = ?", source.namespace)
    for condition in where:
        place = (*at, condition.field.column)
        expression = source.expression(condition.field)
        if expression is None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=place)
        _add(made, expression, condition, place)
    return made


def _add(made: Clause, expression: Expression, condition: Condition, at: Path) -> None:
    if condition.comparison is Comparison.IS_NULL:
        made.add(f"{expression.sql} IS {'' if condition.value else 'NOT '}NULL", *expression.values)
    elif expression.type is Type.JSON:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    elif isinstance(condition.value, tuple):
        _add_choice(made, expression, condition.value, at)
    else:
        _add_comparison(made, expression, condition.comparison, condition.value, at)


def _add_choice(made: Clause, expression: Expression, choices: tuple[Any, ...], at: Path) -> None:
    by_kind: dict[Kind | None, list[SqlValue]] = {}
    for choice in choices:
        kind = kind_of(choice)
        if expression.kind is None or kind == expression.kind:
            by_kind.setdefault(kind, []).append(_operand(expression, choice, at))
    parts, values = [], []
    for kind, fitting in by_kind.items():
        test, test_values = _is_of(expression, kind)
        # SQLite ends a text of JSON where it has a NUL.
        is_plain = any("\0" in one for one in fitting if isinstance(one, str))
        among = ", ".join("?" * len(fitting)) if is_plain else "SELECT value FROM json_each(?)"
        parts.append(f"({test}{expression.sql} IN ({among}))")
        values += [*test_values, *expression.values, *(fitting if is_plain else [orjson.dumps(fitting).decode()])]
    made.add(f"({' OR '.join(parts)})" if parts else "0", *values)


def _add_comparison(made: Clause, expression: Expression, comparison: Comparison, value: Any, at: Path) -> None:
    kind = kind_of(value)
    if expression.kind is not None and kind != expression.kind:
        # A text is no number: it differs from each, and has no place among them.
        made.add(f"{expression.sql} IS NOT NULL" if comparison is Comparison.NE else "0")
        return
    operand = _operand(expression, value, at)
    test, test_values = _is_of(expression, kind)
    compared = f"{expression.sql} {_OPERATORS[comparison]} ?"
    if comparison is Comparison.NE and test:
        plain = _is_plain(expression)
        made.add(
            f"({plain[0]} AND NOT ({test}{expression.sql} = ?))", *plain[1], *test_values, *expression.values, operand
        )
    else:
        made.add(f"({test}{compared})" if test else compared, *test_values, *expression.values, operand)


def _is_of(expression: Expression, kind: Kind | None) -> tuple[str, tuple[SqlValue, ...]]:
    """A condition and an AND, where only the row can tell of which kind its value is."""
    if expression.kind is not None or kind is None:
        return "", ()
    if kind is Kind.BOOL and expression.json is None:
        # Without a type, what was true is 1 by now.
        return "", ()
    test, values = expression.is_kind(kind)
    return f"{test} AND ", values


def _is_plain(expression: Expression) -> tuple[str, tuple[SqlValue, ...]]:
    if expression.json is None:
        return f"{expression.sql} IS NOT NULL", expression.values
    tests = [expression.is_kind(kind) for kind in Kind]
    return f"({' OR '.join(test for test, _ in tests)})", tuple(value for _, values in tests for value in values)


def _operand(expression: Expression, value: Any, at: Path) -> SqlValue:
    if expression.type not in (Type.TIMESTAMP, Type.DATE):
        return int(value) if isinstance(value, bool) else value
    try:
        return timestamp(value) if expression.type is Type.TIMESTAMP else date.fromisoformat(value).isoformat()
    except ValueError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
