"""Google's discovery documents, as its own client ships them, and what they say of values, requests and answers."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]

_PACKAGE = "googleapiclient.discovery_cache.documents"
_INTEGER = re.compile(r"-?[0-9]+\Z")
_ANY_OBJECT: Mapping[str, object] = {"type": "any"}


@functools.cache
def document(name: str, version: str) -> Document:
    text = resources.files(_PACKAGE).joinpath(f"{name}.{version}.json").read_text(encoding="utf-8")
    found: Document = json.loads(text)
    return found


def param_mistakes(name: str, described: Mapping[str, Any], text: str) -> Iterator[str]:
    """What is wrong with a parameter of a query."""
    if described["type"] == "integer" and not _INTEGER.match(text):
        yield f"query parameter {name!r} is not an integer"
    elif described["type"] == "boolean" and text.lower() not in {"true", "false"}:
        yield f"query parameter {name!r} is not a boolean"
    elif text not in described.get("enum", (text,)):
        yield f"query parameter {name!r} is none of {described['enum']}"


def body_mistakes(
    document: Document,
    schema: str | None,
    body: object,
    *,
    answering: bool,
    takes: Callable[[str, object], bool] = lambda where, value: False,
) -> Iterator[str]:
    """What is wrong with a body, of an answer or of a request. `takes` says of scalars what is right nevertheless."""
    if schema is None:
        if body is not None:
            yield "a body where none is expected"
    elif not isinstance(body, dict):
        yield f"no JSON object where {schema} is expected"
    else:
        yield from _Check(document["schemas"], answering, takes).mistakes({"$ref": schema}, body, schema)


class _Check:
    def __init__(self, schemas: Mapping[str, Any], answering: bool, takes: Callable[[str, object], bool]) -> None:
        self._schemas = schemas
        self._answering = answering
        self._takes = takes

    def mistakes(self, schema: Mapping[str, Any], value: object, where: str) -> Iterator[str]:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        if value is None:
            # A request may say null to remove a value; an answer has no reason to, outside the cells of a row.
            if self._answering and schema.get("type") != "any":
                yield f"{where} is null"
            return
        match schema.get("type"):
            case "object":
                yield from self._object_mistakes(schema, value, where)
            case "array":
                if not isinstance(value, list):
                    yield f"{where} is not an array"
                    return
                for place, item in enumerate(value):
                    yield from self.mistakes(schema["items"], item, f"{where}[{place}]")
            case "any":
                return
            case _:
                yield from self._scalar_mistakes(schema, value, where)

    def _object_mistakes(self, schema: Mapping[str, Any], value: object, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where} is not an object"
            return
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for name, item in value.items():
            if name in properties:
                yield from self.mistakes(properties[name], item, f"{where}.{name}")
            elif isinstance(others, dict):
                yield from self.mistakes(others or _ANY_OBJECT, item, f"{where}.{name}")
            else:
                yield f"{where}.{name} is not a field of the API"

    def _scalar_mistakes(self, schema: Mapping[str, Any], value: object, where: str) -> Iterator[str]:
        kind = schema.get("type")
        is_number_as_text = kind == "string" and schema.get("format") in {"int64", "uint64"}
        if kind == "boolean":
            good = isinstance(value, bool)
        elif isinstance(value, bool):
            good = False
        elif is_number_as_text or kind == "integer":
            # The API reads both ways, and writes int64 as text and int32 as a number.
            text = isinstance(value, str) and _INTEGER.match(value) is not None
            number = isinstance(value, int)
            good = (text if is_number_as_text else number) if self._answering else (text or number)
        elif kind == "number":
            good = isinstance(value, int | float)
        else:
            good = isinstance(value, str) or self._takes(where, value)
        if not good:
            yield f"{where} is no {schema.get('format', kind)} but {type(value).__name__}"
        choices = schema.get("enum")
        if good and isinstance(choices, list) and value not in choices:
            yield f"{where} is none of {choices}"
