"""The front matter of a page: some fields of the record, as YAML that no value can break out of.

A value is one line. What could mean anything but its text is written as JSON is, which YAML reads as well; a library
that writes all of YAML takes longer for it than all the rest of the page does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lorchestra.callable.file_renderer.unfit import Unfit

_LIMIT = "---\n"

# Words without any sign that means something, but for those that are no text to some reader of YAML.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._@+-]*(?: [A-Za-z0-9._@+-]+)*", re.ASCII)
_NO_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def front_matter(fields: Mapping[str, str], record: Mapping[str, Any]) -> str:
    """`fields` are those of the record, by the names they have here. Raises Unfit for a field that is not there."""
    if not fields:
        return ""
    lines = [_LIMIT]
    for name, field in fields.items():
        if field not in record:
            raise Unfit("required", field)
        lines.append(f"{_text(name)}: {_value(record[field])}\n")
    return "".join((*lines, _LIMIT, "\n"))


def _value(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            # Alike, whatever engine it comes from.
            return str(int(value))
        case int():
            return str(value)
        case float():
            # Without a point a number is text to some readers of YAML.
            number = json.dumps(value, allow_nan=False)
            return number if "." in number else number.replace("e", ".0e")
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return f"{{{', '.join(f'{_quoted(str(name))}: {_value(one)}' for name, one in value.items())}}}"


def _text(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _NO_TEXT
    return text if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    # Line ends of every kind, and what YAML reads in no file.
    shown = (one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)
    return f'"{"".join(json.dumps(one, ensure_ascii=False)[1:-1] if len(one) == 1 else one for one in shown)}"'
