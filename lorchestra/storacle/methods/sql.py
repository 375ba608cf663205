"""`view.create`, `sql.execute`: views and tables that are made by a query, in BigQuery SQL.

Result: `created` or `unchanged` for a view, 1 or 0; `rows` for a table, how many it has now. Errors: `invalid_params`
for SQL that is not understood or not supported (docs/sql.md), or reads a table that is not there; `conflict` when the
name is that of a table which no query made. Atomic with the ledger. Repeatable: what is made depends on the query and
on the rows it reads.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import StringConstraints

from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods.rows import OWN_DATASET
from lorchestra.storacle.params import Identifier, Params, parse
from lorchestra.storacle.service import RpcError

Sql = Annotated[str, StringConstraints(min_length=1, max_length=200_000)]


class SqlExecute(Params):
    """`CREATE OR REPLACE TABLE|VIEW dataset.name AS` a query."""

    sql: Sql


class ViewCreate(Params):
    """The view `dataset.table` is what the query gives."""

    dataset: Identifier
    table: Identifier
    sql: Sql


def read_execute(value: Any, at: Path) -> SqlExecute:
    return parse(SqlExecute, value, at)


def read_view(value: Any, at: Path) -> ViewCreate:
    params = parse(ViewCreate, value, at)
    if params.dataset == OWN_DATASET:
        raise RpcError(ErrorCode.FORBIDDEN, at=(*at, "dataset"))
    return params
