"""How a sheet that a smoke run made is taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward import sheets_grid
from lorchestra.storacle.outward.sheets_cells import a1
from lorchestra.storacle.outward.sheets_grid import Sheet
from lorchestra.storacle.service import RpcError

if TYPE_CHECKING:
    from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess, Spreadsheet

_SPREADSHEET = ("spreadsheet_id",)


def remove_sheet(access: SheetsAccess, spreadsheet_id: str, title: str) -> None:
    """A spreadsheet has to keep a sheet that people see: the last one is emptied instead."""
    # Imported late: the HTTP library is slow to import, and few services write to sheets.
    from lorchestra.storacle.outward.sheets_http import exchange

    with exchange.open_client(access) as client:
        spreadsheet = exchange.Spreadsheet(access, client, spreadsheet_id, at=())
        try:
            _remove(spreadsheet, title)
        except RpcError as error:
            # There is no such spreadsheet, so there is nothing in it.
            if error.code is not ErrorCode.INVALID_PARAMS or error.at != _SPREADSHEET:
                raise


def _remove(spreadsheet: Spreadsheet, title: str) -> None:
    sheets = sheets_grid.sheets_of(spreadsheet, ())
    sheet = sheets_grid.find(sheets, title)
    # Titles of sheets that hold no cells are not ours.
    if sheet is None or sheet.size is None:
        return
    if all(other.is_hidden for other in sheets if other is not sheet):
        _clear(spreadsheet, sheet)
        return
    try:
        spreadsheet.post(":batchUpdate", {"requests": [{"deleteSheet": {"sheetId": sheet.sheet_id}}]})
    except RpcError as error:
        # It may be gone: removed by a request whose answer was lost, or by someone else.
        is_there = sheets_grid.find(sheets_grid.sheets_of(spreadsheet, ()), title) is not None
        if error.code is not ErrorCode.INVALID_PARAMS or is_there:
            raise


def _clear(spreadsheet: Spreadsheet, sheet: Sheet) -> None:
    grid = sheets_grid.grid_of(sheet, ())
    cells = a1(grid.title, first_row=1, last_row=grid.rows, first_column=1, last_column=grid.columns)
    spreadsheet.post("/values:batchClear", {"ranges": [cells]})
