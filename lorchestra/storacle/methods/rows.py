"""`table.upsert`, `table.insert`, `wal.append`, `event.append`, `table.delete`: rows, found by their key.

Result: upsert counts `inserted`, `updated` and `unchanged` rows; append `inserted` and `unchanged`; delete `deleted`
and `absent`. Errors: `invalid_params` with the place of the first row that does not fit its table, `conflict` for an
appended row whose key holds another one, `forbidden` for storacle's own tables. Atomic with the ledger.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Columns, Identifier, Params, RawList, parse
from lorchestra.storacle.service import RpcError

OWN_DATASET = "storacle"
# What a plan may write of storacle's own: markers ride with the rows they speak of.
_OPEN = frozenset({"_processed"})


class Rows(Params):
    dataset: Identifier
    table: Identifier
    key_columns: Columns
    rows: RawList


def read(value: Any, at: Path) -> Rows:
    params = parse(Rows, value, at)
    if params.dataset == OWN_DATASET and params.table not in _OPEN:
        raise RpcError(ErrorCode.FORBIDDEN, at=(*at, "table"))
    return params
