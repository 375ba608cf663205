"""The section `connections`: accounts at providers that `injest` fetches from, each under a name of its own.

Most commands ask for none, and the models of all connectors take longer to make than those of all other settings. So
they are made when a connection is met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints, TypeAdapter
from pydantic_core import core_schema

from lorchestra.schemas.value import Value

if TYPE_CHECKING:
    from lorchestra.connections.config import ConnectionConfig

ConnectionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]


class Connection(Protocol):
    """What the model of each connector can do."""

    def below(self, root: Path) -> Any:
        """The same, with relative paths taken from the folder."""

    def config(self, name: str, environ: Mapping[str, str]) -> ConnectionConfig:
        """What `injest` needs; secrets are fetched when they are used."""


class _MadeWhenMet:
    """To pydantic, a value that one of the connectors' models is to check."""

    def late_annotation(self) -> Any:
        from lorchestra.settings.connection_models import ConnectionSettings

        return ConnectionSettings

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _validated, serialization=core_schema.plain_serializer_function_ser_schema(_dumped)
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return handler(_adapter().core_schema)


ConnectionSettings: TypeAlias = Annotated[Any, _MadeWhenMet()]


def models() -> Mapping[str, type[Value]]:
    """The model of each connector."""
    from lorchestra.settings.connection_models import MODELS

    return MODELS


def makers(
    connections: Mapping[str, Connection], environ: Mapping[str, str]
) -> dict[str, Callable[[], ConnectionConfig]]:
    """What makes the value of each connection, when a job asks for it."""
    return {name: partial(connection.config, name, environ) for name, connection in connections.items()}


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(_MadeWhenMet().late_annotation())


def _validated(value: object) -> object:
    # Strictly and as JSON, as all settings are read.
    return value if isinstance(value, Value) else _adapter().validate_json(orjson.dumps(value), strict=True)


def _dumped(value: Value) -> Any:
    return value.model_dump(mode="json")
