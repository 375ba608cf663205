"""Holds the stand-ins of Gmail and Google Forms, and whoever asks them, to Google's discovery documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lorchestra.demo.providers.messages import Answer, Request
from tests.standins import discovery
from tests.standins.discovery import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    document: Document
    described: Mapping[str, Any]
    path: re.Pattern[str]

    @property
    def name(self) -> str:
        return str(self.described["id"])


class Checks:
    """An observer of a provider server: what is asked and answered against the documents goes to `violations`."""

    def __init__(self) -> None:
        documents = (discovery.document("gmail", "v1"), discovery.document("forms", "v1"))
        self._methods = [method for document in documents for method in _methods(document, document)]
        self.violations: list[str] = []
        self.checked: list[str] = []

    def __call__(self, request: Request, answer: Answer) -> None:
        if request.path == "/token":
            return
        method = next((one for one in self._methods if _is_asked(one, request)), None)
        if method is None:
            self.violations.append(f"no method for {request.verb} {request.path}")
            return
        self.checked.append(method.name)
        mistakes = [*_request_mistakes(method, request), *_answer_mistakes(method, answer)]
        self.violations += [f"{method.name}: {mistake}" for mistake in mistakes]


def _methods(document: Document, part: Mapping[str, Any]) -> Iterator[Method]:
    for described in part.get("methods", {}).values():
        parts = re.split(r"\{\+?(\w+)\}", described["flatPath"])
        pattern = "".join("[^/]+" if place % 2 else re.escape(text) for place, text in enumerate(parts))
        yield Method(document=document, described=described, path=re.compile("/" + pattern))
    for below in part.get("resources", {}).values():
        yield from _methods(document, below)


def _is_asked(method: Method, request: Request) -> bool:
    return method.described["httpMethod"] == request.verb and bool(method.path.fullmatch(request.path))


def _request_mistakes(method: Method, request: Request) -> Iterator[str]:
    known = {**method.document["parameters"], **method.described["parameters"]}
    for name, values in request.query.items():
        if name not in known or known[name]["location"] != "query":
            yield f"query parameter {name!r} is not known"
            continue
        if len(values) > 1 and not known[name].get("repeated"):
            yield f"query parameter {name!r} is given more than once"
        for value in values:
            yield from discovery.param_mistakes(name, known[name], value)
    if request.body:
        yield "a body where none is expected"


def _answer_mistakes(method: Method, answer: Answer) -> Iterator[str]:
    if answer.status != 200:
        error = answer.json["error"]
        if error["code"] != answer.status or not error["errors"][0]["reason"] or not error["message"]:
            yield f"the error {error} is not as Google writes one"
        return
    schema = method.described["response"]["$ref"]
    yield from discovery.body_mistakes(method.document, schema, answer.json, answering=True)
