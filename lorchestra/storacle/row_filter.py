"""Whether a row fulfils the conditions of a read. As in SQL, null fulfils none but `is_null`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from lorchestra.storacle.read_spec import Comparison, Condition, Where

_ORDER: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.EQ: operator.eq,
    Comparison.LT: operator.lt,
    Comparison.LTE: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GTE: operator.ge,
}


def is_match(row: Mapping[str, Any], where: Where) -> bool:
    return all(_holds(condition, row.get(condition.column)) for condition in where)


def kind_of(value: object) -> int | None:
    """The kinds of plain values, in their order; None for what has no place in it."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return 1
    return 2 if isinstance(value, str) else None


def _holds(condition: Condition, value: object) -> bool:
    match condition.comparison:
        case Comparison.IS_NULL:
            return (value is None) == condition.value
        case Comparison.IN if isinstance(condition.value, tuple):
            return any(_compare(operator.eq, value, one) for one in condition.value)
        case Comparison.NE:
            return kind_of(value) is not None and not _compare(operator.eq, value, condition.value)
        case comparison:
            return _compare(_ORDER[comparison], value, condition.value)


def _compare(compare: Callable[[Any, Any], bool], left: object, right: object) -> bool:
    return kind_of(left) is not None and kind_of(left) == kind_of(right) and compare(left, right)
