"""A declarative read: which rows of which table, in words that every backend can carry out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import Field as Constraint

from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.fields import Field, parse_field
from lorchestra.storacle.params import Identifier, Key, Params, RawList, parse
from lorchestra.storacle.plain_values import can_be_compared
from lorchestra.storacle.service import RpcError

Scalar: TypeAlias = str | int | float | bool

MAX_IN = 10_000
MAX_FIELDS = 500
MAX_CONDITIONS = 200


class Comparison(StrEnum):
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    IS_NULL = "is_null"


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` is a scalar; for `in` a tuple of scalars, for `is_null` true or false."""

    field: Field
    comparison: Comparison
    value: Scalar | tuple[Scalar, ...]


Where: TypeAlias = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Order:
    field: Field
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unprocessed:
    """Rows that a stage has no marker for, or one for other content or, where `code_hash` is given, other code."""

    stage: str
    code_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows come as `order_by` says, and then in the order of their key. All conditions hold for each of them."""

    dataset: str
    table: str
    columns: tuple[Field, ...] | None = None
    where: Where = ()
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    unprocessed: Unprocessed | None = None


class _ReadParams(Params):
    dataset: Identifier
    table: Identifier
    columns: RawList | None = None
    where: Any = None
    order_by: RawList | None = None
    limit: Annotated[int, Constraint(ge=0, strict=True)] | None = None
    unprocessed: Any = None


class _UnprocessedParams(Params):
    stage: Key
    code_hash: Key | None = None


def parse_read(value: object, at: Path) -> Read:
    """Raises RpcError (invalid params) with the path of the first mistake."""
    params = parse(_ReadParams, value, at)
    return Read(
        dataset=params.dataset,
        table=params.table,
        columns=None if params.columns is None else _columns(params.columns, (*at, "columns")),
        where=parse_where(params.where, (*at, "where")),
        order_by=_order_by(params.order_by or (), (*at, "order_by")),
        limit=params.limit,
        unprocessed=_unprocessed(params.unprocessed, (*at, "unprocessed")),
    )


def parse_where(value: object, at: Path) -> Where:
    """`{field: value}` (null: is null) or `{field: {comparison: value, ...}}`, all joined by and."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    conditions: list[Condition] = []
    for name, asked in value.items():
        field = _field(name, at)
        place = (*at, field.column)
        if asked is None:
            conditions.append(Condition(field, Comparison.IS_NULL, True))
        elif isinstance(asked, Mapping) and asked:
            conditions.extend(_condition(field, comparison, operand, place) for comparison, operand in asked.items())
        else:
            conditions.append(Condition(field, Comparison.EQ, _scalar(asked, place)))
    if len(conditions) > MAX_CONDITIONS:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    return tuple(conditions)


def _condition(field: Field, name: Any, operand: object, at: Path) -> Condition:
    try:
        comparison = Comparison(name)
    except ValueError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
    place = (*at, comparison.value)
    match comparison:
        case Comparison.IN:
            if not isinstance(operand, (list, tuple)) or len(operand) > MAX_IN:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=place)
            return Condition(field, comparison, tuple(_scalar(one, place) for one in operand))
        case Comparison.IS_NULL:
            if not isinstance(operand, bool):
                raise RpcError(ErrorCode.INVALID_PARAMS, at=place)
            return Condition(field, comparison, operand)
        case _:
            return Condition(field, comparison, _scalar(operand, place))


def _columns(names: Any, at: Path) -> tuple[Field, ...]:
    if not 1 <= len(names) <= MAX_FIELDS or len({str(name) for name in names}) < len(names):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    return tuple(_field(name, (*at, position)) for position, name in enumerate(names))


def _order_by(names: Any, at: Path) -> tuple[Order, ...]:
    """Names of fields; with a minus before it, the largest comes first."""
    if len(names) > MAX_FIELDS:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    orders = []
    for position, name in enumerate(names):
        descending = isinstance(name, str) and name.startswith("-")
        orders.append(Order(_field(name[1:] if descending else name, (*at, position)), descending))
    return tuple(orders)


def _unprocessed(value: object, at: Path) -> Unprocessed | None:
    """The name of a stage, or `{stage, code_hash}`."""
    if value is None:
        return None
    params = parse(_UnprocessedParams, {"stage": value} if isinstance(value, str) else value, at)
    return Unprocessed(stage=params.stage, code_hash=params.code_hash)


def _field(name: object, at: Path) -> Field:
    field = parse_field(name)
    if field is None:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    return field


def _scalar(value: object, at: Path) -> Scalar:
    if isinstance(value, (str, int, float)) and can_be_compared(value):
        return value
    raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
