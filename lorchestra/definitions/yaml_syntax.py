"""YAML syntax errors in words that an author can act on; libyaml says little."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import yaml

from lorchestra.definitions.yaml_scalar import shortened
from lorchestra.errors import Location, Problem

_Words: TypeAlias = tuple[str, str, str | None]
_Explain: TypeAlias = Callable[[str, str], _Words]
"""From the text before the place on its line, and the text from there to the end of the line."""

_QUOTE_IT = "put the whole text in quotes"
_INDENT = "check the indentation"


def explain(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """The located problem behind an error of libyaml, found while it read `text`."""
    reason, line, column = "found what YAML cannot hold", 1, 1
    words: _Words = (reason, "expected YAML", None)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, opened = error.problem_mark, error.context_mark
        reason = error.problem or reason
        if opened is not None and reason in _AT_THE_OPENING:
            mark = opened
        before = text[: mark.index].rpartition("\n")[2]
        after = text[mark.index : mark.index + 200].partition("\n")[0]
        words = _TABLE[reason](before, after) if reason in _TABLE else (f"not YAML: {reason}", "expected YAML", None)
        if opened is not None and reason in _LEFT_OPEN:
            words = (f"{words[0]} that begins at line {opened.line + 1}, column {opened.column + 1}", *words[1:])
        line, column = mark.line + 1, mark.column + 1
    found, expected, hint = words
    return Problem(found=found, expected=expected, hint=hint, location=Location(file, line, column))


def _no_token(_before: str, after: str) -> _Words:
    if after.startswith("\t"):
        return "found a tab where indentation is expected", "expected spaces", None
    word = re.split(r"[\s,\]}]|:(?=\s|$)", after, maxsplit=1)[0]
    hint = f"write '{shortened(word)}'" if "'" not in word else _QUOTE_IT
    return f"found text that begins with '{after[:1]}'", "expected quotes around such text", hint


def _second_colon(before: str, _after: str) -> _Words:
    if re.search(r":\s", before.strip(" -")):
        return "found a second ': ' in one entry", "expected text that holds ': ' in quotes", _QUOTE_IT
    return (
        "found a key where no key can stand",
        "expected the keys of a mapping in one column",
        "check the indentation of this line and the one before",
    )


def _no_key(_before: str, after: str) -> _Words:
    if after.startswith(("&", "!")):
        return "found a second anchor or tag on one value", "expected one at most", None
    return (
        "found a line that does not fit the mapping around it",
        "expected its keys in one column",
        f"{_INDENT}, and quotes that end too early",
    )


def _open_list(_before: str, after: str) -> _Words:
    return f"{'found more text in' if after else 'found no end of'} the list in [ ]", "expected ',' or ']'", None


def _open_mapping(_before: str, after: str) -> _Words:
    return f"{'found more text in' if after else 'found no end of'} the mapping in {{ }}", "expected ',' or '}'", None


def _no_content(_before: str, after: str) -> _Words:
    found = f"found '{after[:1]}'" if after else "found the end"
    return f"{found} where a value should stand", "expected a value", "check that brackets are paired"


def _unknown_escape(_before: str, after: str) -> _Words:
    return (
        f"found the escape '{after[:2]}' in double quotes",
        "expected a known escape, such as \\n or \\\\",
        "in single quotes a backslash is only a backslash",
    )


def _after_end(_before: str, after: str) -> _Words:
    return f"found '{after[:1]}' after the end of the value", "expected nothing more", None


def _always(found: str, expected: str, hint: str | None = None) -> _Explain:
    return lambda _before, _after: (found, expected, hint)


_TAB = _always("found a tab where indentation is expected", "expected spaces")
_HEX = _always("found an escape that names no character", "expected \\xNN, \\uNNNN or \\UNNNNNNNN, in hexadecimal")
_NAME = _always("found '&' or '*' without a name", "expected a name right after it", "quote text that begins with it")
_TAG = _always("found '!' without a tag that can be read", "expected no tags", "quote text that begins with '!'")
_DIRECTIVE = _always("found a '%' line that YAML does not know", "expected none", "quote text that begins with '%'")
_BLOCK = _always("found more text after '|' or '>'", "expected the text on the lines below")

_TABLE: dict[str, _Explain] = {
    "found character that cannot start any token": _no_token,
    "mapping values are not allowed in this context": _second_colon,
    "did not find expected key": _no_key,
    "did not find expected '-' indicator": _always(
        "found a line that does not fit the list around it", "expected its items in one column, each with '- '", _INDENT
    ),
    "did not find expected ',' or ']'": _open_list,
    "did not find expected ',' or '}'": _open_mapping,
    "did not find expected node content": _no_content,
    "found unknown escape character": _unknown_escape,
    "did not find expected <document start>": _after_end,
    "could not find expected ':'": _always(
        "found a line without ': '", "expected `key: value`", "check for a missing colon, or a space after it"
    ),
    "found unexpected end of stream": _always("found a quote that is never closed", "expected the closing quote"),
    "found unexpected document indicator": _always(
        "found '---' or '...' inside quoted text", "expected the closing quote before it"
    ),
    "block sequence entries are not allowed in this context": _always(
        "found '- ' where no list can begin", "expected the list on the lines below, or in [ ]"
    ),
    "found a tab character where an indentation space is expected": _TAB,
    "found a tab character that violates indentation": _TAB,
    "found invalid Unicode character escape code": _always(
        "found an escape of half a character (a surrogate)",
        "expected the whole character",
        "write the character itself, or \\U and its eight hexadecimal digits",
    ),
    "did not find expected hexdecimal number": _HEX,
    "did not find expected alphabetic or numeric character": _NAME,
    "did not find expected tag URI": _TAG,
    "did not find the expected '>'": _TAG,
    "found undefined tag handle": _TAG,
    "did not find expected whitespace or line break": _TAG,
    "did not find expected comment or line break": _BLOCK,
    "found an indentation indicator equal to 0": _BLOCK,
    "found unknown directive name": _DIRECTIVE,
    "could not find expected directive name": _DIRECTIVE,
    "found duplicate %YAML directive": _DIRECTIVE,
    "found duplicate %TAG directive": _DIRECTIVE,
    "did not find expected version number": _DIRECTIVE,
    "found incompatible YAML document": _always("found a YAML version we do not read", "expected no %YAML line"),
}
# libyaml points to where it gave up; the author must look at where it began.
_AT_THE_OPENING = frozenset({"could not find expected ':'", "found unexpected end of stream"})
_LEFT_OPEN = frozenset({"did not find expected ',' or ']'", "did not find expected ',' or '}'"})
