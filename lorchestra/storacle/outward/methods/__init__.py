"""The methods that write beyond storacle's own tables, one file each: what carries them out, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lorchestra.clock import Clock
from lorchestra.storacle.outward.base import OutwardMethod
from lorchestra.storacle.outward.methods.copies import CopyMethod
from lorchestra.storacle.outward.methods.files import FileMethod
from lorchestra.storacle.outward.methods.sheets import SheetMethod
from lorchestra.storacle.outward.roots import Roots

if TYPE_CHECKING:
    from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess


def outward_methods(
    roots: Roots, clock: Clock, sheets_access: SheetsAccess | None = None
) -> Mapping[str, OutwardMethod]:
    """Without access to Google Sheets, spreadsheets are not among them."""
    files = FileMethod(roots, clock)
    methods: dict[str, OutwardMethod] = {"file.write": files, "file.prune": files, "sqlite.sync": CopyMethod(roots)}
    if sheets_access is not None:
        methods["sheets.write_table"] = SheetMethod(sheets_access)
    return methods
