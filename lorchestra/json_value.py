"""JSON values: their type, their canonical bytes, their digests, and their frozen form."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

JSONValue: TypeAlias = bool | int | float | str | Sequence["JSONValue"] | Mapping[str, "JSONValue"] | None
JSONObject: TypeAlias = Mapping[str, JSONValue]


def canonical_bytes(value: object) -> bytes:
    """The one encoding of a JSON value: keys sorted, no spaces, UTF-8. Frozen and plain values encode alike."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS)


def empty() -> Mapping[str, Any]:
    return MappingProxyType({})


def sha256(value: object) -> str:
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def freeze(value: Any) -> Any:
    """The same value, with tuples for lists and read-only mappings for dicts, all the way down."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """The same value, with plain lists and dicts: a private copy that may be changed."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is not a JSON value")


class _Frozen:
    """Lets a pydantic field hold a frozen JSON object or value; it is validated as JSON and dumped as plain JSON."""

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        inner = (
            core_schema.dict_schema(core_schema.str_schema(strict=True), core_schema.any_schema(), strict=False)
            if self.is_object
            else core_schema.any_schema()
        )
        return core_schema.no_info_after_validator_function(
            freeze,
            core_schema.no_info_before_validator_function(thaw, inner),
            serialization=core_schema.plain_serializer_function_ser_schema(thaw),
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {"type": "object"} if self.is_object else {}


FrozenObject = Annotated[Mapping[str, Any], _Frozen(is_object=True)]
FrozenValue = Annotated[Any, _Frozen(is_object=False)]
