"""The engine in Python alone. It looks at the clock between the steps of an expression, but not within a pattern."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from lorchestra.callable.canonizer.engines.base import (
    DEPTH_LIMIT,
    FUNCTION,
    UNKNOWN,
    EngineName,
    Functions,
    TransformFailed,
)


def _imported(module: str, name: str) -> Any:
    """Of the engine's package, which sets how deep the whole process may recurse when it is imported."""
    depth = sys.getrecursionlimit()
    try:
        return getattr(import_module(module), name)
    finally:
        sys.setrecursionlimit(depth)


# They come without types.
JException: Any = _imported("jsonata.jexception", "JException")
Jsonata: Any = _imported("jsonata.jsonata", "Jsonata")
Utils: Any = _imported("jsonata.utils", "Utils")


class InterpretedExpression:
    def __init__(self, expression: Jsonata, limit_s: float) -> None:
        self._expression = expression
        self._limit_ms = max(1, round(limit_s * 1000))

    def evaluate(self, value: Any, bindings: dict[str, Any]) -> Any:
        frame = Jsonata.Frame(None)
        for name, bound in bindings.items():
            frame.bind(name, bound)
        frame.set_runtime_bounds(self._limit_ms, None)
        # Its functions ask the thread for the expression, and would find the one that was compiled last.
        Jsonata.CURRENT.jsonata = self._expression
        try:
            return _plain(self._expression.evaluate(value, frame))
        except JException as error:
            raise TransformFailed.by_code(error.error) from None
        except RecursionError:
            raise TransformFailed(DEPTH_LIMIT) from None
        except _FunctionFailed:
            raise TransformFailed(FUNCTION) from None
        except Exception:  # noqa: BLE001  (where the engine has no error of its own, Python's come through)
            raise TransformFailed(UNKNOWN) from None


class InterpretedEngine:
    name = EngineName.JSONATA_PYTHON
    can_be_stopped = False

    def compile(self, source: str, functions: Functions, limit_s: float) -> InterpretedExpression:
        try:
            expression = Jsonata(source)
        except JException as error:
            raise TransformFailed.by_code(error.error) from None
        except RecursionError:
            raise TransformFailed(DEPTH_LIMIT) from None
        for name, function in functions.items():
            expression.register_lambda(name, _guarded(function))
        return InterpretedExpression(expression, limit_s)


class _FunctionFailed(Exception):
    pass


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            result = function(*map(_plain, arguments))
        except Exception:  # noqa: BLE001  (a function may fail by whatever error)
            raise _FunctionFailed from None
        # None is what is not there, and not null.
        return Utils.NULL_VALUE if result is None else result

    return call


def _plain(value: Any) -> Any:
    """JSON without the engine's own kinds of lists, and its whole floats as the integers they are."""
    kind = type(value)
    if kind is str or kind is bool or kind is int:
        return value
    if value is None or value is Utils.NULL_VALUE:
        return None
    if kind is float:
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(one) for one in value]
    raise TypeError


ENGINE = InterpretedEngine()
