"""The compiled engine. It looks at the clock between the steps of an expression, and its patterns take linear time."""

from __future__ import annotations

import re
from typing import Any

import jsonatapy

from lorchestra.callable.canonizer.engines.base import FUNCTION, UNKNOWN, EngineName, Functions, TransformFailed

_CODE = re.compile(r"(?:Parse error: )?([A-Z]\d{4}):")


class CompiledExpression:
    def __init__(self, expression: jsonatapy.JsonataExpression) -> None:
        self._evaluate = expression.evaluate

    def evaluate(self, value: Any, bindings: dict[str, Any]) -> Any:
        try:
            return self._evaluate(value, bindings)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _failure(error) from None


class CompiledEngine:
    name = EngineName.JSONATAPY
    can_be_stopped = True

    def compile(self, source: str, functions: Functions, limit_s: float) -> CompiledExpression:
        try:
            expression = jsonatapy.compile(source, timeout=max(1, round(limit_s * 1000)))
        except ValueError as error:
            raise _failure(error) from None
        for name, function in functions.items():
            expression.register(name, function)
        return CompiledExpression(expression)


def _failure(error: Exception) -> TransformFailed:
    said = str(error)
    found = _CODE.match(said)
    if found is not None:
        return TransformFailed.by_code(found[1])
    return TransformFailed(FUNCTION if said.startswith("host function") else UNKNOWN)


ENGINE = CompiledEngine()
