"""Passes on what it is given, and, on the way, has the text of another step for its stats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorchestra.callable import CallableResult
from lorchestra.callable.context import CallableContext
from lorchestra.items import Item


def execute(params: Mapping[str, Any], context: CallableContext) -> CallableResult:
    return CallableResult(items=items(context), stats={"seen": params.get("seen")})


def items(context: CallableContext) -> Iterator[Item]:
    yield from context.items
