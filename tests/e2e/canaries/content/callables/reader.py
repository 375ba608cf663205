"""Asks for what its params name: which rows, and which files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorchestra.callable.context import CallableContext
from lorchestra.items import Item


def reads(params: Mapping[str, Any]) -> Any:
    return params.get("asks")


def resources(params: Mapping[str, Any]) -> Any:
    return params.get("files", {})


def execute(params: Mapping[str, Any], context: CallableContext) -> Mapping[str, Any]:
    return {"items": items(context)}


def items(context: CallableContext) -> Iterator[Item]:
    yield from context.items
