"""What an engine for JSONata is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

Functions: TypeAlias = Mapping[str, Callable[..., Any]]

TIME_LIMIT = "time_limit"
DEPTH_LIMIT = "depth_limit"
FUNCTION = "function"
UNKNOWN = "error"

_LIMITS: Mapping[str, str] = {"D1011": DEPTH_LIMIT, "D1012": TIME_LIMIT, "D2015": DEPTH_LIMIT, "U1001": DEPTH_LIMIT}


class EngineName(StrEnum):
    """The fastest first."""

    JSONATAPY = "jsonatapy"
    JSONATA_PYTHON = "jsonata-python"

    @property
    def module(self) -> str:
        return self.value.removesuffix("-python")


class TransformFailed(Exception):
    """An expression found no result. `rule` is JSONata's code of the error, or which limit was passed.

    What an engine says in words may quote the record, so nothing of it is kept.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule

    @classmethod
    def by_code(cls, code: str) -> TransformFailed:
        return cls(_LIMITS.get(code, code))


class Expression(Protocol):
    """Compiled; used by the thread that compiled it, and by no other."""

    def evaluate(self, value: Any, bindings: dict[str, Any]) -> Any:
        """The result as JSON, None where there is none. Raises TransformFailed, also when the time is up."""


class Engine(Protocol):
    name: EngineName
    can_be_stopped: bool
    """Whether the limit holds wherever the expression is; else a process of its own has to be ended."""

    def compile(self, source: str, functions: Functions, limit_s: float) -> Expression:
        """Raises TransformFailed for what is no JSONata."""
