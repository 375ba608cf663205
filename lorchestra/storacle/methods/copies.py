"""`sqlite.sync`: a table of a SQLite file is what a read gives.

Result: how many rows were `written`, or are `unchanged`: one of the two is 0. Errors: `invalid_params` with the place
in `source`, in `columns` or in the first row that fits no column; `forbidden` for a root that is not configured and for
a path that leads out of it; `refused` for a file that is no database; `busy`, `storage_full`. Repeatable, and not
atomic with the ledger: after a crash between the two, the rows are compared again, and found the same.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.outward.sqlite_columns import SqliteSync
from lorchestra.storacle.params import parse


def read(value: Any, at: Path) -> SqliteSync:
    return parse(SqliteSync, value, at)
