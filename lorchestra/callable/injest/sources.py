"""Which connector fetches what: its streams, and what their objects are called."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_never

from lorchestra.callable.context import CallableContext
from lorchestra.callable.injest import ranges
from lorchestra.callable.injest.asked import Asked
from lorchestra.callable.injest.given import Given
from lorchestra.callable.injest.raw import RawRows
from lorchestra.connections.config import ConnectionConfig, Files, Gmail, GoogleForms
from lorchestra.errors import ConfigurationError, DefinitionError, Problem, did_you_mean
from lorchestra.items import Item, Record
from lorchestra.json_value import JSONValue


def items(
    connection: ConnectionConfig, asked: Asked, context: CallableContext, stats: dict[str, int]
) -> Iterator[Item]:
    """What the connection holds of a stream, with the checkpoints. Raises before the first item for what is asked
    wrongly.
    """
    rows = _rows(connection, asked)
    begin, overlap = _reach(connection, asked)
    now = context.clock.now()
    bounds, cursor = ranges.decide(asked, _stored(context), begin=begin, overlap=overlap, now=now)
    given = Given(
        range=bounds,
        cursor=cursor,
        rows=rows,
        clock=context.clock,
        token=context.token,
        workers=context.workers,
        stats=stats,
    )
    return iter(()) if bounds.is_empty else _fetch(connection, given)


def _fetch(connection: ConnectionConfig, given: Given) -> Iterator[Item]:
    match connection:
        case Files():
            from lorchestra.callable.injest.files import fetching as files

            yield from files.items(connection, given)
        case Gmail() | GoogleForms():
            # Imported here because whoever reads files needs no HTTP.
            from lorchestra.callable.injest.google import fetching as google

            yield from google.items(connection, given)
        case _:
            assert_never(connection)


def _rows(connection: ConnectionConfig, asked: Asked) -> RawRows:
    match connection:
        case Gmail():
            names = ("messages", "gmail", "email")
        case GoogleForms():
            names = ("responses", "google_forms", "form_response")
        case Files():
            names = ("records", connection.source_system, connection.object_type)
        case _:
            assert_never(connection)
    stream, source_system, object_type = names
    if asked.stream != stream:
        raise DefinitionError(
            Problem(
                found=f"connection '{connection.name}' has no such stream",
                expected=f"known: {stream}",
                hint=did_you_mean(asked.stream, (stream,)),
                path=("stream",),
            )
        )
    for taken_for, name, given in (
        (asked.source_system, source_system, "source_system"),
        (asked.object_type, object_type, "object_type"),
    ):
        if taken_for is not None and taken_for != name:
            raise ConfigurationError(
                f"connection '{connection.name}' gives objects with the {given} '{name}', and the job expects others"
            )
    return RawRows(source_system=source_system, connection_name=connection.name, object_type=object_type)


def _reach(connection: ConnectionConfig, asked: Asked) -> tuple[datetime | None, timedelta]:
    if not isinstance(connection, Files):
        return connection.begin, connection.overlap
    if asked.since is not None or asked.until is not None:
        raise DefinitionError(
            Problem(
                found=f"connection '{connection.name}' reads files, whose records have no time",
                expected="expected no 'since' and no 'until'",
                path=("since",),
            )
        )
    return None, timedelta()


def _stored(context: CallableContext) -> JSONValue:
    item = next(context.items, None)
    return item.data.get("value") if isinstance(item, Record) else None
