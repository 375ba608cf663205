"""Yields rows, rejections and cursors made of what it is given, and says it wherever a callable can say something."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from lorchestra.callable import CallableResult
from lorchestra.callable.context import CallableContext
from lorchestra.items import Checkpoint, Item, Record, Rejected


def execute(params: Mapping[str, Any], context: CallableContext) -> CallableResult:
    for word in params["said"].values():
        say(word, context)
    return CallableResult(items=items(params), stats=params["stats"])


def items(params: Mapping[str, Any]) -> Iterator[Item]:
    for number, (shape, value) in enumerate(params["row"]["values"].items()):
        row = {"idem_key": f"row:{number}", "shape": shape, "value": value, "inside": params["row"]}
        yield Record({**row, params["row"]["values"]["word"]: value})
    for shape, value in params["cursor"].items():
        yield Checkpoint(key=f"{params['name']}_{shape}", cursor={"after": value})
    if params.get("rejects"):
        yield Rejected(idem_key="row:x", schema="row", pointer="/value", rule="type")


def say(value: object, context: CallableContext) -> None:
    text = str(value)
    warnings.warn(text, stacklevel=1)
    warnings.warn(RuntimeWarning(text, value), stacklevel=2)
    for name in ("x", text, f"rows.{text}", "lorchestra.callable"):
        logger = logging.getLogger(name)
        logger.warning(text)
        logger.debug("%s", text)
        logger.error("the value is %(value)s", {"value": text}, extra={"value": value})
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception(text)
    context.log.info(text)
    # A number would pass: that is what counts are.
    fields: dict[str, Any] = {text: 1, "rows": text, "nested": {text: value}, "error": ValueError(text)}
    context.log.warning("rows.said", **fields)
