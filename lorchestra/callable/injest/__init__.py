"""`injest`: what an account at a provider holds becomes raw objects, exactly as the provider gives them.

Nothing is validated here, and what comes is stored as it came. Where a connector knows when an object last changed, the
next run goes on from there: the cursor is a checkpoint in the same stream, behind the rows that it speaks of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorchestra.callable.context import CallableContext
from lorchestra.callable.injest import asked, sources
from lorchestra.callable.result import CallableResult


def connections(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The connection it fetches from. Raises DefinitionError for params that mean nothing."""
    return (asked.parse(params).connection,)


def reads(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The cursor that the last run left."""
    key = asked.parse(params).cursor_key
    return {"dataset": "storacle", "table": "_state", "where": {"key": key}}


def execute(params: Mapping[str, Any], context: CallableContext) -> CallableResult:
    wanted = asked.parse(params)
    connection = context.connections.get(wanted.connection)
    stats: dict[str, int] = {}
    return CallableResult(items=sources.items(connection, wanted, context, stats), stats=stats)
