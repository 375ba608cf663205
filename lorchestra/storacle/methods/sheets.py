"""`sheets.write_table`: a sheet of a Google spreadsheet is what a read gives.

Result: how many rows were `written`. Errors: `invalid_params` with the place in `source`, in `columns` or in the first
row that fits no cell, and for a spreadsheet that is not there; `forbidden` for one that is not shared, and for a title
that smoke runs use; `unauthorized`; `too_large`; `rate_limited`, `unavailable`, `timeout`. Repeatable, and not atomic
with the ledger: after a crash between the two, or while it was written, the whole sheet is written again.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.outward.sheets import SheetsWriteTable
from lorchestra.storacle.params import parse


def read(value: Any, at: Path) -> SheetsWriteTable:
    return parse(SheetsWriteTable, value, at)
