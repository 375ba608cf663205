"""Values against a JSON Schema: valid, or the first place that is not, and by which rule. Never with what value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import orjson

from lorchestra.errors import ConfigurationError, pointer

UNNAMED = "*"
"""Stands in a pointer for a name that the schema does not give: such a name is data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """By what a record failed, where in it, and by which rule: what a `Rejected` says of it."""

    schema: str
    pointer: str = ""
    rule: str


class Validator:
    """One schema, compiled once. `others` are the schemas that it may refer to, by their addresses."""

    def __init__(self, name: str, schema: bytes, others: Mapping[str, bytes] | None = None) -> None:
        self.name = name
        document = _document(name, schema)
        self._names = set(_names(document))
        known = others or {}

        def retrieve(address: str) -> Any:
            found = _document(address, known[address])
            self._names.update(_names(found))
            return found

        try:
            self._compiled = jsonschema_rs.validator_for(document, validate_formats=True, retriever=retrieve)
        except ValueError as error:
            raise ConfigurationError(
                f"schema {name} is no JSON Schema that can be used; see that it is one by its own `$schema`, and that "
                "the schemas it refers to stand in the step's `schemas`"
            ) from error
        self.is_valid: Callable[[Any], bool] = self._compiled.is_valid

    def failure(self, value: object) -> Failure | None:
        """The first place where a value is not as the schema says; None when there is none."""
        if self.is_valid(value):
            return None
        error = next(iter(self._compiled.iter_errors(value)))
        path = [*error.instance_path]
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
            # It speaks of the object, and what is missing is more to the point.
            path.append(error.kind.property)
        shown = [part if isinstance(part, int) or part in self._names else UNNAMED for part in path]
        return Failure(schema=self.name, pointer=pointer(shown), rule=error.kind.name)


def _document(name: str, content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"schema {name} is not JSON") from error


def _names(schema: object) -> Iterator[str]:
    """The names of properties that stand in a schema."""
    if isinstance(schema, Mapping):
        for keyword, value in schema.items():
            if keyword in ("properties", "required", "dependentRequired") and isinstance(value, (Mapping, list)):
                yield from (one for one in value if isinstance(one, str))
            yield from _names(value)
    elif isinstance(schema, list):
        for one in schema:
            yield from _names(one)
