"""Checks requests and answers against the discovery document of BigQuery v2 that Google ships in its own client."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.standins import discovery
from tests.standins.bigquery.errors import JSONObject

# Google's own client sends these, so Google's service takes them, though the document does not say so.
_UNDOCUMENTED = frozenset({("jobs.get", "projection"), ("jobs.cancel", "projection")})
# The same client sends the value of a FLOAT64 parameter as a number.
_PARAMETER_VALUE = ".value"


def document() -> JSONObject:
    return discovery.document("bigquery", "v2")


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
    return [*_query_mistakes(method, query), *_body_mistakes(method.request, body)]


def answer_mistakes(method: Method, body: object) -> list[str]:
    return list(discovery.body_mistakes(document(), method.response, body, answering=True))


def _query_mistakes(method: Method, query: Mapping[str, str]) -> Iterator[str]:
    known = {**document()["parameters"], **method.parameters}
    for name, text in query.items():
        if (method.name, name) in _UNDOCUMENTED:
            continue
        if name not in known or known[name].get("location") != "query":
            yield f"query parameter {name!r} is not known to {method.name}"
        else:
            yield from discovery.param_mistakes(name, known[name], text)


def _body_mistakes(schema: str | None, body: object) -> Iterator[str]:
    return discovery.body_mistakes(document(), schema, body, answering=False, takes=_takes)


def _takes(where: str, value: object) -> bool:
    return isinstance(value, float) and where.endswith(_PARAMETER_VALUE)
