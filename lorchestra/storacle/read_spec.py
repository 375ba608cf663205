"""A declarative read: which rows of which table, in words that every backend can carry out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Columns, Identifier, Key, Params, is_identifier, parse
from lorchestra.storacle.service import RpcError

Scalar: TypeAlias = str | int | float | bool

MAX_IN = 10_000


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

    column: str
    comparison: Comparison
    value: Scalar | tuple[Scalar, ...]


Where: TypeAlias = tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows come in the order of their key. All conditions hold for each of them."""

    dataset: str
    table: str
    columns: tuple[str, ...] | None
    where: Where
    limit: int | None
    unprocessed: str | None


class _ReadParams(Params):
    dataset: Identifier
    table: Identifier
    columns: Columns | None = None
    where: Any = None
    limit: Annotated[int, Field(ge=0, strict=True)] | None = None
    unprocessed: Key | None = None


def parse_read(value: object, at: Path) -> Read:
    """Raises RpcError (invalid params) with the path of the first mistake."""
    params = parse(_ReadParams, value, at)
    return Read(
        dataset=params.dataset,
        table=params.table,
        columns=params.columns,
        where=parse_where(params.where, (*at, "where")),
        limit=params.limit,
        unprocessed=params.unprocessed,
    )


def parse_where(value: object, at: Path) -> Where:
    """`{column: value}` (null: is null) or `{column: {comparison: value, ...}}`, all joined by and."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    conditions: list[Condition] = []
    for column, asked in value.items():
        if not is_identifier(column):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
        place = (*at, column)
        if asked is None:
            conditions.append(Condition(column, Comparison.IS_NULL, True))
        elif isinstance(asked, Mapping) and asked:
            conditions.extend(_condition(column, name, operand, place) for name, operand in asked.items())
        else:
            conditions.append(Condition(column, Comparison.EQ, _scalar(asked, place)))
    return tuple(conditions)


def _condition(column: str, name: Any, operand: object, at: Path) -> Condition:
    try:
        comparison = Comparison(name)
    except ValueError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
    place = (*at, comparison.value)
    match comparison:
        case Comparison.IN:
            if not isinstance(operand, (list, tuple)) or len(operand) > MAX_IN:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=place)
            return Condition(column, comparison, tuple(_scalar(one, place) for one in operand))
        case Comparison.IS_NULL:
            if not isinstance(operand, bool):
                raise RpcError(ErrorCode.INVALID_PARAMS, at=place)
            return Condition(column, comparison, operand)
        case _:
            return Condition(column, comparison, _scalar(operand, place))


def _scalar(value: object, at: Path) -> Scalar:
    if isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
