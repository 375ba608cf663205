"""`sheets.write_table` carried out: sheets of Google spreadsheets."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lorchestra.errors import Path
from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.backends.base import Counts, NamespaceObject
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.base import Reach
from lorchestra.storacle.outward.sheets import SheetsWriter, SheetsWriteTable, smoke_prefix
from lorchestra.storacle.outward.sheets_removal import remove_sheet
from lorchestra.storacle.outward.source import selected
from lorchestra.storacle.service import RpcError

if TYPE_CHECKING:
    from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess


class SheetMethod:
    def __init__(self, access: SheetsAccess) -> None:
        self._access = access
        self._writer = SheetsWriter(access)
        self._one_at_a_time = threading.Lock()

    def carry_out(self, params: SheetsWriteTable, reach: Reach, at: Path) -> Counts:
        with selected(params.read, reach, at) as selection:
            if not set(params.columns).issuperset(selection.columns):
                raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "columns"))
            return self._writer.write(params, selection.rows, namespace=reach.namespace, at=at)

    def makes(self, params: SheetsWriteTable, namespace: str, at: Path) -> NamespaceObject:
        return NamespaceObject(kind="sheet", name=f"{params.spreadsheet_id}/{params.title(namespace, at)}")

    def alone(self, params: SheetsWriteTable, at: Path) -> AbstractContextManager[object]:
        # Google has no lock to give, so this keeps apart only those who share a service.
        return self._one_at_a_time

    def remove(self, made: NamespaceObject, namespace: str) -> None:
        spreadsheet_id, _, title = made.name.partition("/")
        if namespace == PRODUCTION or not title.startswith(smoke_prefix(namespace)):
            raise RpcError(ErrorCode.FORBIDDEN)
        remove_sheet(self._access, spreadsheet_id, title)
