"""What a read gives of each row: which fields, and of which types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.fields import Field
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH, Type

READ: Path = ("read",)

T = TypeVar("T")


class Readable(Protocol):
    """What rows are read from. Without columns it holds JSON objects, which are given whole unless a read says more."""

    @property
    def columns(self) -> Mapping[str, Type | None]: ...

    @property
    def key_columns(self) -> tuple[str, ...]: ...

    @property
    def hidden(self) -> Mapping[str, Type]: ...

    def type_of(self, wanted: Field) -> Type | None: ...


def chosen(source: Readable, read: Read, output: Callable[[Field], T | None]) -> dict[str, T] | None:
    """The fields by their names, each as `output` says it; None where rows are given whole.

    Raises RpcError: invalid params for a field that has no output, unsupported for rows that have no markers.
    """
    if read.unprocessed is not None and (source.key_columns != ("idem_key",) or CONTENT_HASH not in source.hidden):
        # Markers know a row by its idem_key, and its content by the hash that declared tables keep.
        raise RpcError(ErrorCode.UNSUPPORTED, at=(*READ, "unprocessed"))
    wanted = _wanted(source, read)
    if wanted is None:
        return None
    found: dict[str, T] = {}
    for position, field in enumerate(wanted):
        one = output(field)
        if one is None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*READ, "columns", position))
        found[field.text] = one
    return found


def types(source: Readable, read: Read) -> dict[str, Type | None]:
    """The names of the same fields, and their types. Raises RpcError (invalid params) where rows may hold any."""
    wanted = _wanted(source, read)
    if wanted is None:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*READ, "columns"))
    return {field.text: source.type_of(field) for field in wanted}


def _wanted(source: Readable, read: Read) -> tuple[Field, ...] | None:
    if read.columns is None and not source.columns:
        return None
    wanted = read.columns or tuple(Field(name, name) for name in source.columns)
    if read.unprocessed is not None and CONTENT_HASH not in [field.text for field in wanted]:
        wanted = (*wanted, Field(CONTENT_HASH, CONTENT_HASH))
    return wanted
