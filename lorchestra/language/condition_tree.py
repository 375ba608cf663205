"""A condition as a tree, and the tree as a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from lorchestra.language.references import CtxRef, Literal, PayloadRef


class Comparison(StrEnum):
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Compare:
    comparison: Comparison
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Not:
    operand: Condition


@dataclass(frozen=True, slots=True)
class And:
    """Of two operands or more."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Of two operands or more."""

    operands: tuple[Condition, ...]


Condition: TypeAlias = Literal | CtxRef | PayloadRef | Compare | Not | And | Or

CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}

# How tightly each kind of node binds; one that binds less than its place asks for stands in parentheses.
_OR, _AND, _NOT, _COMPARE, _OPERAND = range(5)


def unparse(condition: Condition) -> str:
    """A text that parses to the condition."""
    return _bound(condition)[0]


def _at(place: int, condition: Condition) -> str:
    text, binding = _bound(condition)
    return f"({text})" if binding < place else text


def _bound(condition: Condition) -> tuple[str, int]:
    match condition:
        case Or(operands):
            return " or ".join(_at(_AND, operand) for operand in operands), _OR
        case And(operands):
            return " and ".join(_at(_NOT, operand) for operand in operands), _AND
        case Not(operand):
            return f"not {_at(_NOT, operand)}", _NOT
        case Compare(comparison, left, right):
            return f"{_at(_OPERAND, left)} {comparison} {_at(_OPERAND, right)}", _COMPARE
        case Literal(value):
            return _literal(value), _OPERAND
        case CtxRef() | PayloadRef():
            return str(condition), _OPERAND


def _literal(value: bool | int | float | str | None) -> str:
    if isinstance(value, str):
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    for word, constant in CONSTANTS.items():
        if value is constant:
            return word
    return repr(value)
