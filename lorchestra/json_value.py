"""JSON values: their type, their canonical bytes, their digests, and their frozen form."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

JSONValue: TypeAlias = bool | int | float | str | Sequence["JSONValue"] | Mapping[str, "JSONValue"] | None
JSONObject: TypeAlias = Mapping[str, JSONValue]

_SCALARS = frozenset({str, int, bool, float, type(None)})
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def canonical_bytes(value: object) -> bytes:
    """The one encoding of a JSON value: keys sorted, no spaces, UTF-8. Frozen and plain values encode alike."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS)


def empty() -> Mapping[str, Any]:
    return _EMPTY


def sha256(value: object) -> str:
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def freeze(value: Any) -> Any:
    """The same value, with tuples for lists and read-only mappings for dicts, all the way down."""
    kind = type(value)
    # Asked first, since nearly every value is one of them and the abstract class below is slow to ask.
    if kind in _SCALARS or kind is MappingProxyType:
        return value
    if kind is dict or isinstance(value, Mapping):
        if not value:
            return _EMPTY
        return MappingProxyType({key: item if type(item) in _SCALARS else freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple([freeze(item) for item in value])
    return value


def thaw(value: Any) -> Any:
    """The same value, with plain lists and dicts: a private copy that may be changed."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is MappingProxyType or kind is dict or isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is not a JSON value")


class _Frozen:
    """Lets a pydantic field hold a frozen JSON object or value; it is dumped as plain JSON."""

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _frozen_object if self.is_object else freeze,
            serialization=core_schema.plain_serializer_function_ser_schema(thaw),
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {"type": "object"} if self.is_object else {}


def _frozen_object(value: Any) -> Any:
    if type(value) is MappingProxyType:
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("dict_type", "Input should be a valid dictionary")
    for key in value:
        if not isinstance(key, str):
            raise PydanticCustomError("string_type", "Keys should be valid strings")
    return freeze(value)


FrozenObject = Annotated[Mapping[str, Any], _Frozen(is_object=True)]
FrozenValue = Annotated[Any, _Frozen(is_object=False)]
