"""`state.put`: a cursor is stored if what is there is what the writer started from.

Result: `stored` or `unchanged`, 1 or 0. Errors: `conflict` when something else is stored. Atomic with the ledger. What
is stored already need not be expected: storing it again changes nothing.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.base import Counts, Transaction
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import StatePut, parse
from lorchestra.storacle.service import RpcError


def put(tx: Transaction, value: Any, at: Path) -> Counts:
    params = parse(StatePut, value, at)
    new, expected = _encoded(params.value, (*at, "value")), _encoded(params.expected, (*at, "expected"))
    current = canonical_bytes(tx.state(params.key))
    if current == new:
        return {"stored": 0, "unchanged": 1}
    if current != expected:
        raise RpcError(ErrorCode.CONFLICT, at=(*at, "expected"))
    tx.put_state(params.key, params.value)
    return {"stored": 1, "unchanged": 0}


def _encoded(value: object, at: Path) -> bytes:
    try:
        return canonical_bytes(value)
    except TypeError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
