"""Values given on the command line: JSON, @file, `-`, or key=value."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import typer

from lorchestra.errors import EnvelopeError, Problem

MAX_BYTES = 16 * 1024 * 1024

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")
_EXPECTED = """expected '{"key": "value"}', @file.json, - for standard input, or key=value"""


class _NotJSON(ValueError):
    """JSON that is not strict: a value without a meaning, or a key twice."""


def read_object(option: str, given: list[str]) -> dict[str, Any]:
    """One JSON object from all uses of an option. Each adds to the ones before it; the same key again replaces it."""
    merged: dict[str, Any] = {}
    for text in given:
        if text == "-":
            merged.update(_object(option, _standard_input(option), "the standard input"))
        elif text.startswith("@"):
            merged.update(_object(option, _file_text(option, text[1:]), f"the file {text[1:]}"))
        elif text.lstrip().startswith("{"):
            merged.update(_object(option, text, "the value"))
        else:
            _put(option, merged, *_pair(option, text))
    return merged


def not_empty(value: str | None) -> str | None:
    """For options: `--profile "$UNSET"` is a mistake, and not the same as no option."""
    if value == "":
        raise typer.BadParameter("it is empty")
    return value


def _pair(option: str, text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise _bad(option, "a value that is neither JSON, @file nor key=value")
    if not _KEY.fullmatch(key):
        raise _bad(option, "a key that is not made of names with dots between them")
    return key, _scalar(value)


def _put(option: str, target: dict[str, Any], key: str, value: Any) -> None:
    """`a.b=1` is what `@payload.a.b` reads."""
    *above, last = key.split(".")
    for name in above:
        inner = target.setdefault(name, {})
        if not isinstance(inner, dict):
            raise _bad(option, f"a key below '{name}', which was given a value of its own")
        target = inner
    target[last] = value


def _scalar(text: str) -> Any:
    """A number, true, false, null, list or object where it reads as JSON, else the text itself."""
    try:
        return _parse(text)
    except (ValueError, RecursionError):
        return text


def _object(option: str, text: str, what: str) -> dict[str, Any]:
    try:
        value = _parse(text)
    except RecursionError:
        raise _bad(option, f"{what} is nested too deeply") from None
    except _NotJSON as error:
        raise _bad(option, f"{what} is not JSON: it holds {error}") from None
    except ValueError as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _bad(option, f"{what} is not JSON{place}") from None
    if not isinstance(value, dict):
        raise _bad(option, f"{what} is not a JSON object")
    return value


def _parse(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_twins, parse_constant=_refuse_constant, parse_float=_finite)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _NotJSON("a key twice")
    return result


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise _NotJSON("a number that is too large")
    return number


def _refuse_constant(name: str) -> Any:
    raise _NotJSON(name)


def _file_text(option: str, name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _bad(option, f"the file {name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _bad(option, "a file name that cannot be one") from error
    return _text(option, data, f"the file {name}")


def _standard_input(option: str) -> str:
    if sys.stdin is None:
        raise _bad(option, "the standard input is closed")
    return _text(option, sys.stdin.buffer.read(MAX_BYTES + 1), "the standard input")


def _text(option: str, data: bytes, what: str) -> str:
    if len(data) > MAX_BYTES:
        raise _bad(option, f"{what} is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Not as its cause: the foreign error holds the data.
        pass
    raise _bad(option, f"{what} is not UTF-8 text")


def _bad(option: str, found: str) -> EnvelopeError:
    return EnvelopeError(Problem(found=f"{option}: {found}", expected=_EXPECTED))
