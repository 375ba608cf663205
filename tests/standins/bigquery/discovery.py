"""Checks requests and answers against the discovery document of BigQuery v2 that Google ships in its own client."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from tests.standins.bigquery.errors import JSONObject

_PACKAGE = "googleapiclient.discovery_cache.documents"
_INTEGER = re.compile(r"-?[0-9]+\Z")
# Google's own client sends these, so Google's service takes them, though the document does not say so.
_UNDOCUMENTED = frozenset({("jobs.get", "projection"), ("jobs.cancel", "projection")})
# The same client sends the value of a FLOAT64 parameter as a number.
_PARAMETER_VALUE = ".value"
_ANY_OBJECT: Mapping[str, object] = {"type": "any"}


@functools.cache
def document() -> JSONObject:
    text = resources.files(_PACKAGE).joinpath("bigquery.v2.json").read_text(encoding="utf-8")
    found: JSONObject = json.loads(text)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    name: str
    verb: str
    path: re.Pattern[str]
    parameters: Mapping[str, JSONObject]
    request: str | None
    response: str | None
    is_upload: bool


@dataclass(frozen=True, slots=True)
class Match:
    method: Method
    path: Mapping[str, str]


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{\+?(\w+)\}", template)
    quoted = [f"(?P<{part}>[^/:]+)" if place % 2 else re.escape(part) for place, part in enumerate(parts)]
    return re.compile("".join(quoted) + r"\Z")


@functools.cache
def methods() -> tuple[Method, ...]:
    found = []
    root = "/" + document()["servicePath"]
    for resource, described in document()["resources"].items():
        for name, method in described.get("methods", {}).items():
            uploads = method.get("mediaUpload", {}).get("protocols", {})
            places = [(root + method["path"], False), *((way["path"], True) for way in uploads.values())]
            found += [
                Method(
                    name=f"{resource}.{name}",
                    verb=method["httpMethod"],
                    path=_pattern(path),
                    parameters=method["parameters"],
                    request=method.get("request", {}).get("$ref"),
                    response=method.get("response", {}).get("$ref"),
                    is_upload=is_upload,
                )
                for path, is_upload in places
            ]
    return tuple(found)


def match(verb: str, path: str) -> Match | None:
    for method in methods():
        matched = method.path.match(path)
        if matched and method.verb == verb:
            return Match(method, matched.groupdict())
    return None


def request_mistakes(method: Method, query: Mapping[str, str], body: object) -> list[str]:
    return [*_query_mistakes(method, query), *_body_mistakes(method.request, body, answering=False)]


def answer_mistakes(method: Method, body: object) -> list[str]:
    return list(_body_mistakes(method.response, body, answering=True))


def _query_mistakes(method: Method, query: Mapping[str, str]) -> Iterator[str]:
    known = {**document()["parameters"], **method.parameters}
    for name, text in query.items():
        if (method.name, name) in _UNDOCUMENTED:
            continue
        if name not in known or known[name].get("location") != "query":
            yield f"query parameter {name!r} is not known to {method.name}"
        elif known[name]["type"] == "integer" and not _INTEGER.match(text):
            yield f"query parameter {name!r} is not an integer"
        elif known[name]["type"] == "boolean" and text.lower() not in {"true", "false"}:
            yield f"query parameter {name!r} is not a boolean"


def _body_mistakes(schema: str | None, body: object, *, answering: bool) -> Iterator[str]:
    if schema is None:
        if body is not None:
            yield "a body where none is expected"
    elif not isinstance(body, dict):
        yield f"no JSON object where {schema} is expected"
    else:
        yield from _mistakes({"$ref": schema}, body, schema, answering)


def _mistakes(schema: Mapping[str, object], value: object, where: str, answering: bool) -> Iterator[str]:
    if "$ref" in schema:
        schema = document()["schemas"][schema["$ref"]]
    if value is None:
        # A request may say null to remove a value; an answer has no reason to, outside the cells of a row.
        if answering and schema.get("type") != "any":
            yield f"{where} is null"
        return
    match schema.get("type"):
        case "object":
            yield from _object_mistakes(schema, value, where, answering)
        case "array":
            items = schema["items"]
            assert isinstance(items, dict)
            if not isinstance(value, list):
                yield f"{where} is not an array"
                return
            for place, item in enumerate(value):
                yield from _mistakes(items, item, f"{where}[{place}]", answering)
        case "any":
            return
        case _:
            yield from _scalar_mistakes(schema, value, where, answering)


def _object_mistakes(schema: Mapping[str, object], value: object, where: str, answering: bool) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is not an object"
        return
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    assert isinstance(properties, dict)
    for name, item in value.items():
        if name in properties:
            yield from _mistakes(properties[name], item, f"{where}.{name}", answering)
        elif isinstance(others, dict):
            yield from _mistakes(others or _ANY_OBJECT, item, f"{where}.{name}", answering)
        else:
            yield f"{where}.{name} is not a field of the API"


def _scalar_mistakes(schema: Mapping[str, object], value: object, where: str, answering: bool) -> Iterator[str]:
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
        good = (text if is_number_as_text else number) if answering else (text or number)
    elif kind == "number":
        good = isinstance(value, int | float)
    elif not answering and isinstance(value, float) and where.endswith(_PARAMETER_VALUE):
        good = True
    else:
        good = isinstance(value, str)
    if not good:
        yield f"{where} is no {schema.get('format', kind)} but {type(value).__name__}"
    choices = schema.get("enum")
    if good and isinstance(choices, list) and value not in choices:
        yield f"{where} is none of {choices}"
