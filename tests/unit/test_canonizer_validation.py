"""Schemas by their address, and what a value fails by: a place and a rule, and nothing of the value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lorchestra.callable.canonizer.iglu import SchemaAddress
from lorchestra.callable.canonizer.validation import Failure, Validator
from lorchestra.errors import ConfigurationError, DefinitionError

SCHEMA = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "born": {"format": "date"},
        "visits": {"type": "array", "items": {"properties": {"minutes": {"maximum": 90}}}},
        "by_email": {"additionalProperties": {"type": "integer"}},
        "a/b": {"const": 1},
        "site": {"$ref": "iglu:clinic/site/jsonschema/1-0-0"},
    },
}
SITE = {"properties": {"room": {"enum": ["a", "b"]}}}


def validator(schema: Any = SCHEMA) -> Validator:
    known = {"iglu:clinic/site/jsonschema/1-0-0": SITE}
    return Validator(
        "iglu:s", json.dumps(schema).encode(), {name: json.dumps(one).encode() for name, one in known.items()}
    )


@pytest.mark.parametrize(
    ("value", "place", "rule"),
    [
        ({}, "/name", "required"),
        ({"name": "x"}, "/name", "minLength"),
        ({"name": 3}, "/name", "type"),
        ({"name": "Jo", "born": "tomorrow"}, "/born", "format"),
        ({"name": "Jo", "visits": [{}, {"minutes": 91}]}, "/visits/1/minutes", "maximum"),
        ({"name": "Jo", "a/b": 2}, "/a~1b", "const"),
        ({"name": "Jo", "site": {"room": "c"}}, "/site/room", "enum"),
        ({"name": "Jo", "secret": 1}, "", "additionalProperties"),
        ([], "", "type"),
        (None, "", "type"),
        # A name that the schema does not give is data.
        ({"name": "Jo", "by_email": {"jo@x.example": "often"}}, "/by_email/*", "type"),
    ],
)
def test_failure_is_the_place_and_the_rule(value: object, place: str, rule: str) -> None:
    assert validator().failure(value) == Failure(schema="iglu:s", pointer=place, rule=rule)


def test_valid_value_has_no_failure() -> None:
    assert validator().failure({"name": "Jo", "born": "1990-01-01", "site": {"room": "a"}}) is None


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"pattern": "("}, {"$ref": "iglu:no/such/jsonschema/1-0-0"}, {"$schema": "x:y"}, 3]
)
def test_schema_that_is_none_is_the_operators_to_mend(schema: Any) -> None:
    with pytest.raises(ConfigurationError, match="schema iglu:s is no JSON Schema that can be used"):
        validator(schema)


def test_schema_that_is_no_json_is_named() -> None:
    with pytest.raises(ConfigurationError, match="schema iglu:s is not JSON"):
        Validator("iglu:s", b"{")


def test_address_says_where_a_schema_lies() -> None:
    address = SchemaAddress.parse("iglu:org.clinic/visit/jsonschema/1-0-2", param="schema_in")
    assert address.path == "schemas/iglu/org.clinic/visit/jsonschema/1-0-2"
    assert str(address) == "iglu:org.clinic/visit/jsonschema/1-0-2"


@pytest.mark.parametrize(
    "value",
    ["visit", "iglu:clinic/visit/jsonschema/1.0.0", "iglu:../visit/jsonschema/1-0-0", "iglu:a/b/c/jsonschema/1-0-0", 3],
)
def test_what_is_no_address_is_refused_without_being_quoted(value: object) -> None:
    with pytest.raises(DefinitionError, match="'schema_in' is no Iglu address; such as iglu:raw/email_gmail"):
        SchemaAddress.parse(value, param="schema_in")
