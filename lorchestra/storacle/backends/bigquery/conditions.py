"""The conditions of a read as SQL. What was asked for is always a parameter; as in SQL, null fulfils none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.backends.bigquery.scripts import Script
from lorchestra.storacle.backends.bigquery.sources import Expression, Source
from lorchestra.storacle.backends.moments import timestamp
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.plain_values import Kind, kind_of
from lorchestra.storacle.read_spec import Comparison, Condition, Where
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Type

_OPERATORS: Mapping[Comparison, str] = {
    Comparison.EQ: "=",
    Comparison.NE: "!=",
    Comparison.LT: "<",
    Comparison.LTE: "<=",
    Comparison.GT: ">",
    Comparison.GTE: ">=",
}
_PARAMETERS: Mapping[Kind, str] = {Kind.BOOL: "BOOL", Kind.NUMBER: "FLOAT64", Kind.TEXT: "STRING"}


def clause(source: Source, where: Where, script: Script, at: Path) -> list[str]:
    """Conditions that all hold. Raises RpcError (invalid params) for a field that is not there, or has no order."""
    made = []
    for condition in where:
        place = (*at, condition.field.column)
        expression = source.expression(condition.field)
        if expression is None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=place)
        made.append(_said(expression, condition, script, place))
    return made


def where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _said(expression: Expression, condition: Condition, script: Script, at: Path) -> str:
    if condition.comparison is Comparison.IS_NULL:
        return expression.is_null if condition.value else f"NOT ({expression.is_null})"
    if expression.type is Type.JSON:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    if isinstance(condition.value, tuple):
        return _choice(expression, condition.value, script, at)
    return _comparison(expression, condition.comparison, condition.value, script, at)


def _choice(expression: Expression, choices: tuple[Any, ...], script: Script, at: Path) -> str:
    by_kind: dict[Kind, list[Any]] = {}
    for choice in choices:
        kind = kind_of(choice)
        if kind is not None and (expression.kind is None or kind == expression.kind):
            by_kind.setdefault(kind, []).append(_operand(expression, choice, at))
    parts = []
    for kind, fitting in by_kind.items():
        values = script.bind_all(_parameter_type(expression, kind, fitting), fitting)
        parts.append(f"({_test(expression, kind)}{_value(expression, kind)} IN UNNEST({values}))")
    return f"({' OR '.join(parts)})" if parts else "FALSE"


def _comparison(expression: Expression, comparison: Comparison, value: Any, script: Script, at: Path) -> str:
    kind = kind_of(value)
    assert kind is not None
    if expression.kind is not None and kind != expression.kind:
        # A text is no number: it differs from each, and has no place among them.
        return f"{expression.sql} IS NOT NULL" if comparison is Comparison.NE else "FALSE"
    operand = _operand(expression, value, at)
    bound = script.bind(_parameter_type(expression, kind, [operand]), operand)
    test = _test(expression, kind)
    compared = _value(expression, kind)
    if comparison is Comparison.NE and test:
        plain = " OR ".join(expression.is_kind(one) for one in Kind)
        return f"(({plain}) AND NOT COALESCE({test}{compared} = {bound}, FALSE))"
    return f"({test}{compared} {_OPERATORS[comparison]} {bound})"


def _test(expression: Expression, kind: Kind) -> str:
    """A condition and an AND, where only the row can tell of which kind its value is."""
    return f"{expression.is_kind(kind)} AND " if expression.json is not None else ""


def _value(expression: Expression, kind: Kind) -> str:
    if expression.json is None or kind is Kind.TEXT:
        return expression.sql
    return f"SAFE_CAST({expression.sql} AS {_PARAMETERS[kind]})"


def _parameter_type(expression: Expression, kind: Kind, operands: list[Any]) -> str:
    if expression.type in (Type.TIMESTAMP, Type.DATE):
        return expression.type.value
    if kind is Kind.NUMBER and expression.json is None and all(_is_integer(one) for one in operands):
        return "INT64"
    return _PARAMETERS[kind]


def _is_integer(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _operand(expression: Expression, value: Any, at: Path) -> Any:
    if expression.type not in (Type.TIMESTAMP, Type.DATE):
        return value
    try:
        return (
            datetime.fromisoformat(timestamp(value)) if expression.type is Type.TIMESTAMP else date.fromisoformat(value)
        )
    except ValueError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
