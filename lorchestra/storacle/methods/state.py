"""`state.put`: a cursor is stored if what is there is what the writer started from.

Result: `stored`, `unchanged` or `kept`, 1 or 0. Errors: `conflict` when something else is stored. Atomic with the
ledger. What is stored already need not be expected: storing it again changes nothing. With `never_back` nothing is
expected: the cursor that is further on is the one that stays, so that a backfill can speak of older data.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Key, Params, parse
from lorchestra.storacle.plain_values import kind_of
from lorchestra.storacle.service import RpcError


class Change(StrEnum):
    STORED = "stored"
    UNCHANGED = "unchanged"
    KEPT = "kept"

    def counts(self) -> dict[str, int]:
        return {one.value: int(one is self) for one in Change}


class StatePut(Params):
    key: Key
    value: Any
    expected: Any = None
    never_back: Annotated[bool, Field(strict=True)] = False


def read(value: Any, at: Path) -> StatePut:
    params = parse(StatePut, value, at)
    for name in ("value", "expected"):
        _encoded(getattr(params, name), (*at, name))
    if params.never_back and kind_of(params.value) is None:
        # Only numbers and texts have an order.
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "value"))
    return params


def decide(params: StatePut, stored: Any, at: Path) -> Change:
    """What becomes of the cursor. Raises RpcError (conflict)."""
    if canonical_bytes(stored) == canonical_bytes(params.value):
        return Change.UNCHANGED
    if params.never_back and kind_of(stored) == kind_of(params.value):
        return Change.KEPT if stored >= params.value else Change.STORED
    if params.never_back and stored is None:
        return Change.STORED
    if canonical_bytes(stored) != canonical_bytes(params.expected):
        raise RpcError(ErrorCode.CONFLICT, at=(*at, "expected"))
    return Change.STORED


def _encoded(value: object, at: Path) -> bytes:
    try:
        return canonical_bytes(value)
    except TypeError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
