"""What JSON cannot hold exactly, found and told by path and type, and never by value."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from lorchestra import code_names
from lorchestra.errors import Path, Problem

MAX_DEPTH = 100
"""How deep a definition, a ctx, a payload, and what they resolve to, may nest."""


def problems_of(value: object) -> tuple[Problem, ...]:
    """Everything in the value that is not JSON. A value that is too deep, or holds itself, is given up on."""
    problems: list[Problem] = []
    todo: deque[tuple[Path, object]] = deque([((), value)])
    while todo:
        # Depth first: a list that holds itself twice is found too deep before it has grown.
        path, item = todo.pop()
        if len(path) > MAX_DEPTH:
            return (*problems, too_deep(path[:1]))
        if isinstance(item, Mapping):
            problems.extend(not_json(flaw, path) for key in item if (flaw := key_flaw(key)))
            todo.extend(((*path, key), item[key]) for key in reversed(list(item)) if not key_flaw(key))
        elif isinstance(item, (list, tuple)):
            todo.extend(((*path, index), item[index]) for index in reversed(range(len(item))))
        elif flaw := scalar_flaw(item):
            problems.append(not_json(flaw, path))
    return tuple(problems)


def without_keys(value: object, path: Path) -> Path:
    """The path with the position of each key in place of the key, for values whose keys are data too."""
    shown: list[str | int] = []
    for part in path:
        if isinstance(value, Mapping):
            shown.append(f"<key {list(value).index(part) + 1}>")
            value = value[part]
        else:
            shown.append(part)
            value = value[part]  # type: ignore[index]  # the path leads through mappings and lists
    return tuple(shown)


def describe(value: object) -> str:
    """The type and size of a value, and nothing else of it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return f"a list of {len(value)} {'item' if len(value) == 1 else 'items'}"
        case Mapping():
            return f"an object of {len(value)} {'key' if len(value) == 1 else 'keys'}"
        case _:
            return f"a value of type {code_names.plain_name(value)}"


def scalar_flaw(value: object) -> str | None:
    match value:
        case None | bool():
            return None
        case int():
            return None if -(2**63) <= value < 2**64 else "an integer of more than 64 bits"
        case float():
            return None if math.isfinite(value) else "a number that is not finite"
        case str():
            return None if _is_unicode(value) else "a text with half a surrogate pair"
        case _:
            return describe(value)


def key_flaw(key: object) -> str | None:
    if isinstance(key, str):
        return None if _is_unicode(key) else "a key with half a surrogate pair"
    return f"a key of type {code_names.plain_name(key)}"


def not_json(flaw: str, path: Path) -> Problem:
    return Problem(
        found=f"{flaw} is not JSON",
        expected="expected null, booleans, finite numbers, texts, lists, and objects whose keys are texts",
        path=path,
    )


def too_deep(path: Path) -> Problem:
    return Problem(
        found=f"the value nests deeper than {MAX_DEPTH} levels", expected="expected a flatter value", path=path
    )


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
