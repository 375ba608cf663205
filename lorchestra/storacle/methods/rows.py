"""`table.upsert`, `table.insert`, `wal.append`, `event.append`, `table.delete`: rows, found by their key.

Result: upsert counts `inserted`, `updated` and `unchanged` rows; append `inserted` and `unchanged`; delete `deleted`
and `absent`. Errors: `invalid_params` with the place of the first row that does not fit its table, `conflict` for an
appended row whose key holds another one, `forbidden` for storacle's own tables. Atomic with the ledger.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, Transaction
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Rows, parse
from lorchestra.storacle.service import RpcError

_OWN_DATASET = "storacle"
# What a plan may write of storacle's own: markers ride with the rows they speak of.
_OPEN = frozenset({"_processed"})


def upsert(tx: Transaction, value: Any, at: Path) -> Counts:
    return tx.upsert(_writable(value, at), at)


def append(tx: Transaction, value: Any, at: Path) -> Counts:
    return tx.append(_writable(value, at), at)


def delete(tx: Transaction, value: Any, at: Path) -> Counts:
    return tx.delete(_writable(value, at), at)


def _writable(value: Any, at: Path) -> Rows:
    params = parse(Rows, value, at)
    if params.dataset == _OWN_DATASET and params.table not in _OPEN:
        raise RpcError(ErrorCode.FORBIDDEN, at=(*at, "table"))
    return params
