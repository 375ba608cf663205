"""The words of a condition, each with its column."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from lorchestra.errors import DefinitionError, Problem, did_you_mean
from lorchestra.language import reference_text
from lorchestra.language.condition_tree import CONSTANTS, Comparison
from lorchestra.language.reference_text import clip
from lorchestra.language.references import CtxRef, Literal, PayloadRef, RunRef


class Word(StrEnum):
    AND = "and"
    OR = "or"
    NOT = "not"
    OPEN = "("
    CLOSE = ")"
    END = ""


Meaning: TypeAlias = Word | Comparison | Literal | CtxRef | PayloadRef


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    column: int
    meaning: Meaning


_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.])")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\'\\])*)"' + r"|'((?:[^'\\]|\\[\"'\\])*)'")
_SIGN = re.compile(r"==(?!=)|!=(?!=)|<=|>=|<(?!>)|>|[()]")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNKNOWN = re.compile(r"[^\w\s()@\"'-]+|[\w.-]+|.", re.DOTALL)

_MEANINGS: Mapping[str, Meaning] = {
    **{str(word): word for word in Word if word is not Word.END},
    **{str(comparison): comparison for comparison in Comparison},
    **{word: Literal(constant) for word, constant in CONSTANTS.items()},
}
_WORDS = (*CONSTANTS, "and", "or", "not")
_OTHER_LANGUAGES: Mapping[str, str] = {
    "=": "==",
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "or",
    "!": "not",
    "None": "null",
    "ctx": "@ctx",
    "payload": "@payload",
}


def tokens(source: str) -> tuple[Token, ...]:
    """All tokens, the last one being the end. Raises DefinitionError for the first that is none."""
    found: list[Token] = []
    at = _after_space(source, 0)
    while at < len(source):
        meaning, end = _read(source, at)
        found.append(Token(source[at:end], at + 1, meaning))
        at = _after_space(source, end)
    return (*found, Token("", len(source) + 1, Word.END))


def mistake(column: int, found: str, expected: str, hint: str | None = None) -> DefinitionError:
    return DefinitionError(Problem(found=f"column {column}: {found}", expected=expected, hint=hint))


def _after_space(source: str, at: int) -> int:
    space = _SPACE.match(source, at)
    return space.end() if space else at


def _read(source: str, at: int) -> tuple[Meaning, int]:
    if source[at] == "@":
        return _reference(source, at)
    if source[at] in "\"'":
        return _quoted(source, at)
    if found := _NUMBER.match(source, at):
        return Literal(_number(found.group(), at + 1)), found.end()
    found = _SIGN.match(source, at) or _WORD.match(source, at) or _UNKNOWN.match(source, at)
    text = found.group() if found else source[at]
    if found is None or text not in _MEANINGS:
        near = _OTHER_LANGUAGES.get(text)
        raise mistake(
            at + 1,
            f"'{clip(text)}'",
            "expected references, literals, comparisons, 'and', 'or', 'not'",
            f"did you mean '{near}'?" if near else did_you_mean(clip(text).lower(), _WORDS),
        )
    return _MEANINGS[text], found.end()


def _reference(source: str, at: int) -> tuple[CtxRef | PayloadRef, int]:
    try:
        ref, end = reference_text.read(source, at)
    except DefinitionError as error:
        raise DefinitionError(
            *(replace(problem, found=f"column {at + 1}: {problem.found}") for problem in error.problems)
        ) from None
    if isinstance(ref, RunRef):
        raise mistake(
            at + 1,
            f"'{clip(str(ref))}' is known only once the job runs",
            "a condition is decided before, when the job is compiled: expected @ctx and @payload references",
        )
    return ref, end


def _quoted(source: str, at: int) -> tuple[Literal, int]:
    found = _QUOTED.match(source, at)
    if found is None:
        raise mistake(
            at + 1,
            "the text that begins here does not end",
            f"expected {source[at]} at its end, and in it no other escapes than \\\", \\' and \\\\",
        )
    text = found.group(1) if found.group(1) is not None else found.group(2)
    return Literal(re.sub(r"\\(.)", r"\1", text)), found.end()


def _number(text: str, column: int) -> int | float:
    if not set(text) & set(".eE"):
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise mistake(column, f"'{clip(text)}' is too large", "expected a number that a 64-bit float can hold")
    return number
