"""The rows that go into a copy: a declarative read among the params of an op."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Annotated, Any

from pydantic import PlainValidator

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Row, Selection
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.fields import Field
from lorchestra.storacle.outward.base import Reach
from lorchestra.storacle.read_spec import Read, parse_read
from lorchestra.storacle.service import RpcError

_AT: Path = ("source",)


def _source(value: Any) -> Read:
    read = parse_read(value, _AT)
    if read.unprocessed is not None:
        # A copy is of a table, and not of what is left to do.
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*_AT, "unprocessed"))
    return read


Source = Annotated[Read, PlainValidator(_source)]


def narrowed(source: Read, names: Sequence[str]) -> Read:
    """The same read, of these columns alone when it names none itself."""
    if source.columns is not None:
        return source
    return replace(source, columns=tuple(Field(name, name) for name in names))


@contextmanager
def selected(source: Read, reach: Reach, at: Path) -> Iterator[Selection]:
    """What the read gives; what is wrong with it is told by its place in the params of the op."""
    with ExitStack() as stack:
        try:
            selection = stack.enter_context(reach.select(source))
        except RpcError as error:
            raise _placed(error, at) from None
        yield replace(selection, rows=_rows(selection.rows, at))


def _rows(rows: Iterator[Row], at: Path) -> Iterator[Row]:
    try:
        yield from rows
    except RpcError as error:
        raise _placed(error, at) from None


def _placed(error: RpcError, at: Path) -> RpcError:
    place = error.at[1:] if error.at[:1] == ("read",) else error.at
    return RpcError(error.code, at=(*at, *_AT, *place), retry_after=error.retry_after)
