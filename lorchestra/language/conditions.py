r"""Conditions: what `if:` may say. They are decided when a job is compiled, from `@ctx`, `@payload` and literals.

    or      = and ("or" and)*
    and     = not ("and" not)*
    not     = "not" not | compare
    compare = operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)?
    operand = reference | number | "text" | 'text' | true | false | null | "(" or ")"

Nothing is converted. Values of different types are not equal (true is not 1); `<` and its like compare two numbers or
two texts; `and`, `or`, `not` and the condition as a whole take booleans. A path that does not exist is an error, unless
`and` or `or` has decided before it is looked at. In a text, `\` escapes a quote or itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from lorchestra.errors import CompileError, DefinitionError, Problem
from lorchestra.json_value import JSONObject, JSONValue
from lorchestra.language import references
from lorchestra.language.condition_tokens import Token, Word, mistake, tokens
from lorchestra.language.condition_tree import And, Compare, Comparison, Condition, Not, Or, unparse
from lorchestra.language.json_check import describe
from lorchestra.language.reference_text import clip
from lorchestra.language.references import CtxRef, Literal, PayloadRef

__all__ = ["And", "Compare", "Comparison", "Condition", "Not", "Or", "evaluate", "parse", "unparse"]

MAX_LENGTH = 2_000
MAX_DEPTH = 32


def parse(source: str | bool) -> Condition:
    """The tree of a condition. Raises DefinitionError, naming the column of the first mistake."""
    if isinstance(source, bool):
        return Literal(source)
    if len(source) > MAX_LENGTH:
        raise DefinitionError(
            Problem(found=f"the condition has {len(source)} characters", expected=f"expected at most {MAX_LENGTH}")
        )
    return _Parser(tokens(source)).parse()


def evaluate(condition: Condition, *, ctx: JSONObject, payload: JSONObject) -> bool:
    """Whether the condition holds. Raises CompileError for what does not exist or is of the wrong type."""
    return _Evaluation(ctx, payload).boolean(condition, "a condition")


class _Parser:
    def __init__(self, stream: tuple[Token, ...]) -> None:
        self._tokens = stream
        self._position = 0
        self._depth = 0

    def parse(self) -> Condition:
        column = self._token.column
        condition = self._or()
        self._expect(Word.END, "expected a comparison, 'and', 'or' or the end")
        return _as_boolean(condition, column)

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    def _or(self) -> Condition:
        operands = self._joined_by(Word.OR, self._and)
        return Or(operands) if len(operands) > 1 else operands[0]

    def _and(self) -> Condition:
        operands = self._joined_by(Word.AND, self._not)
        return And(operands) if len(operands) > 1 else operands[0]

    def _joined_by(self, word: Word, operand: Callable[[], Condition]) -> tuple[Condition, ...]:
        columns = [self._token.column]
        operands = [operand()]
        while self._token.meaning is word:
            self._position += 1
            columns.append(self._token.column)
            operands.append(operand())
        if len(operands) == 1:
            return tuple(operands)
        return tuple(_as_boolean(operand, column) for operand, column in zip(operands, columns, strict=True))

    def _not(self) -> Condition:
        if self._token.meaning is not Word.NOT:
            return self._compare()
        self._enter()
        column = self._token.column
        operand = _as_boolean(self._not(), column)
        self._depth -= 1
        return Not(operand)

    def _compare(self) -> Condition:
        left = self._operand()
        comparison = self._token.meaning
        if not isinstance(comparison, Comparison):
            return left
        self._position += 1
        right = self._operand()
        if isinstance(self._token.meaning, Comparison):
            raise mistake(self._token.column, _named(self._token), "expected one comparison, or 'and' between two")
        return Compare(comparison, left, right)

    def _operand(self) -> Condition:
        token = self._token
        if isinstance(token.meaning, (Literal, CtxRef, PayloadRef)):
            self._position += 1
            return token.meaning
        if token.meaning is not Word.OPEN:
            raise mistake(token.column, _named(token), "expected a reference, a literal, 'not' or '('")
        self._enter()
        condition = self._or()
        self._depth -= 1
        self._expect(Word.CLOSE, f"expected ')' for the '(' at column {token.column}")
        return condition

    def _enter(self) -> None:
        """Take the '(' or 'not' that opens a level."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise mistake(self._token.column, f"level {self._depth} of '(' and 'not'", f"expected at most {MAX_DEPTH}")
        self._position += 1

    def _expect(self, word: Word, expected: str) -> None:
        if self._token.meaning is not word:
            raise mistake(self._token.column, _named(self._token), expected)
        if word is not Word.END:
            self._position += 1


def _as_boolean(condition: Condition, column: int) -> Condition:
    """A literal of another type can never be decided on, whatever the payload."""
    if isinstance(condition, Literal) and not isinstance(condition.value, bool):
        raise mistake(column, f"{describe(condition.value)}", "expected true, false, a reference or a comparison")
    return condition


def _named(token: Token) -> str:
    return f"'{clip(token.text)}'" if token.text else "the condition ends"


class _Evaluation:
    def __init__(self, ctx: JSONObject, payload: JSONObject) -> None:
        self._ctx = ctx
        self._payload = payload

    def boolean(self, condition: Condition, taker: str) -> bool:
        value = self._value(condition)
        if not isinstance(value, bool):
            raise _type_error(f"'{clip(unparse(condition))}' is {describe(value)}", f"{taker} takes a boolean")
        return value

    def _value(self, condition: Condition) -> JSONValue:
        match condition:
            case Literal(value):
                return value
            case CtxRef() | PayloadRef():
                return references.static_value(condition, ctx=self._ctx, payload=self._payload)
            case Not(operand):
                return not self.boolean(operand, "'not'")
            case And(operands):
                return all(self.boolean(operand, "'and'") for operand in operands)
            case Or(operands):
                return any(self.boolean(operand, "'or'") for operand in operands)
            case Compare(Comparison.EQ, left, right):
                return _equal(self._value(left), self._value(right))
            case Compare(Comparison.NE, left, right):
                return not _equal(self._value(left), self._value(right))
            case Compare(comparison, left, right):
                return _in_order(comparison, self._value(left), self._value(right))


class _Kind(Enum):
    CONSTANT = "true, false or null"
    NUMBER = "a number"
    TEXT = "a text"
    LIST = "a list"
    OBJECT = "an object"


_ORDERS: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.LT: operator.lt,
    Comparison.LE: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
}


def _in_order(comparison: Comparison, left: JSONValue, right: JSONValue) -> bool:
    if _kind(left) is not _kind(right) or _kind(left) not in (_Kind.NUMBER, _Kind.TEXT):
        raise _type_error(
            f"'{comparison}' has {describe(left)} on its left and {describe(right)} on its right",
            "it compares two numbers or two texts",
        )
    return _ORDERS[comparison](left, right)


def _equal(left: JSONValue, right: JSONValue) -> bool:
    todo: list[tuple[Any, Any]] = [(left, right)]
    while todo:
        one, other = todo.pop()
        if _kind(one) is not _kind(other):
            return False
        match _kind(one):
            case _Kind.CONSTANT:
                if one is not other:
                    return False
            case _Kind.NUMBER | _Kind.TEXT:
                if one != other:
                    return False
            case _Kind.LIST:
                if len(one) != len(other):
                    return False
                todo.extend(zip(one, other, strict=True))
            case _Kind.OBJECT:
                if one.keys() != other.keys():
                    return False
                todo.extend((one[key], other[key]) for key in one)
    return True


def _kind(value: object) -> _Kind:
    if value is None or isinstance(value, bool):
        return _Kind.CONSTANT
    if isinstance(value, (int, float)):
        return _Kind.NUMBER
    if isinstance(value, str):
        return _Kind.TEXT
    return _Kind.OBJECT if isinstance(value, Mapping) else _Kind.LIST


def _type_error(found: str, expected: str) -> CompileError:
    return CompileError(Problem(found=found, expected=expected))
