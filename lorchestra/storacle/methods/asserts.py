"""`assert.rows`, `assert.exists`, `assert.unique`: what the data must fulfil for the ops of a group to be applied.

Result: `matched`, how many rows were looked at. Errors: `assertion_failed`. They change nothing, so repeating one is
harmless; with the ledger, a resend is not asked again.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, Transaction
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import AssertExists, AssertRows, AssertUnique, parse
from lorchestra.storacle.read_spec import parse_where
from lorchestra.storacle.service import RpcError


def rows(tx: Transaction, value: Any, at: Path) -> Counts:
    params = parse(AssertRows, value, at)
    found = tx.count(params.dataset, params.table, parse_where(params.where, (*at, "where")))
    return _assertion(params.holds_for(found), found)


def exists(tx: Transaction, value: Any, at: Path) -> Counts:
    params = parse(AssertExists, value, at)
    found = tx.count(params.dataset, params.table, parse_where(params.where, (*at, "where")))
    return _assertion(found > 0, found)


def unique(tx: Transaction, value: Any, at: Path) -> Counts:
    """Rows with a null in one of the columns are left out."""
    params = parse(AssertUnique, value, at)
    where = parse_where(params.where, (*at, "where"))
    found, different = tx.count_distinct(params.dataset, params.table, params.columns, where)
    return _assertion(found == different, found)


def _assertion(holds: bool, found: int) -> Counts:
    if not holds:
        raise RpcError(ErrorCode.ASSERTION_FAILED)
    return {"matched": found}
