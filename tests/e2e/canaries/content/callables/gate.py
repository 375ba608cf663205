"""Yields one row, says that it is at work, and then does as it is told until a file opens the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorchestra.callable.context import CallableContext


def execute(params: Mapping[str, Any], context: CallableContext) -> Mapping[str, Any]:
    return {"items": items(params, context), "stats": {"note": params["words"]}}


def items(params: Mapping[str, Any], context: CallableContext) -> Iterator[Mapping[str, Any]]:
    yield {"idem_key": "gate", "words": params["words"]}
    gate = Path(params["gate"])
    gate.with_suffix(".reached").touch()
    if gate.exists():
        return
    if params["then"] == "raise":
        raise RuntimeError(*params["words"].values())
    local = params["words"]
    while not gate.exists():
        if params["then"] == "wait":
            context.token.check()
        time.sleep(0.01)
    raise RuntimeError(*local.values())
