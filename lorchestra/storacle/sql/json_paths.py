"""What stands at a path of a JSON text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import orjson

_NOTHING: Any = object()


class Documents:
    """The JSON functions of one connection. The last document is kept, since a row is asked for several paths."""

    def __init__(self) -> None:
        self._text: object = None
        self._document: Any = _NOTHING

    def value(self, text: object, path: str) -> str | None:
        return _scalar(self._at(text, path))

    def query(self, text: object, path: str) -> str | None:
        found = self._at(text, path)
        return None if found is _NOTHING or found is None else _dump(found)

    def query_array(self, text: object, path: str) -> str | None:
        """An array of texts, each the JSON of an element: what the elements are in SQL as well."""
        return self._array(text, path, _dump)

    def value_array(self, text: object, path: str) -> str | None:
        return self._array(text, path, _scalar)

    def _array(self, text: object, path: str, element: Callable[[Any], str | None]) -> str | None:
        found = self._at(text, path)
        if not isinstance(found, list):
            return None
        elements = [element(one) for one in found]
        if element is _scalar and any(isinstance(one, (dict, list)) for one in found):
            return None
        return _dump(elements)

    def _at(self, text: object, path: str) -> Any:
        if text is None:
            return _NOTHING
        if text != self._text:
            self._document = _load(text)
            self._text = text
        found = self._document
        for step in _steps(path):
            if isinstance(step, str):
                found = found.get(step, _NOTHING) if isinstance(found, dict) else _NOTHING
            else:
                found = found[step] if isinstance(found, list) and step < len(found) else _NOTHING
        return found


def split(text: str | None, delimiter: str | None) -> str | None:
    if text is None or delimiter is None:
        return None
    return _dump(text.split(delimiter) if delimiter else list(text))


def _load(text: object) -> Any:
    try:
        return orjson.loads(str(text))
    except orjson.JSONDecodeError:
        return _NOTHING


@functools.lru_cache(maxsize=512)
def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(orjson.loads(path))


def _scalar(found: Any) -> str | None:
    if isinstance(found, str):
        return found
    if found is None or found is _NOTHING or isinstance(found, (dict, list)):
        return None
    return _dump(found)


def _dump(found: Any) -> str:
    return orjson.dumps(found).decode()
