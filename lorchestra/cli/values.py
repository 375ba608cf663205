"""Values given on the command line: JSON, @file, or key=value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorchestra.errors import EnvelopeError, Problem


def read_object(option: str, given: list[str]) -> dict[str, Any]:
    """One JSON object from all uses of an option; a later key replaces an earlier one."""
    merged: dict[str, Any] = {}
    for text in given:
        merged.update(_one(option, text))
    return merged


def _one(option: str, text: str) -> dict[str, Any]:
    if text.startswith("@"):
        return _json_object(option, _file_text(option, text[1:]), f"the file {text[1:]}")
    if text.lstrip().startswith("{"):
        return _json_object(option, text, "the value")
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise _bad(option, "a value that is neither JSON, @file nor key=value")
    return {key: _scalar(value)}


def _scalar(text: str) -> Any:
    """A number, true, false, null, list or object where it reads as JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json_object(option: str, text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        raise _bad(option, f"{what} is nested too deeply") from None
    except ValueError as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _bad(option, f"{what} is not JSON{place}") from None
    if not isinstance(value, dict):
        raise _bad(option, f"{what} is not a JSON object")
    return value


def _file_text(option: str, name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise _bad(option, f"the file {name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _bad(option, f"the file {name} is not UTF-8 text") from error


def _bad(option: str, found: str) -> EnvelopeError:
    return EnvelopeError(
        Problem(found=f"{option}: {found}", expected="""expected '{"key": "value"}', @file.json or key=value""")
    )
