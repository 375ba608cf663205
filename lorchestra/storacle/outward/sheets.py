"""sheets.write_table: a sheet of a Google spreadsheet holds a header and the rows, and nothing else.

The interface has no transactions. So the rows are written from the top, each request saying what its cells are to be,
and what is below and to the right of them is cleared last: after a failure midway the sheet holds some new rows and
some old ones, and the same op again leads to the same sheet as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import AfterValidator, Field, StringConstraints

from lorchestra.errors import Path
from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward import sheets_cells, sheets_grid
from lorchestra.storacle.outward.sheets_cells import Cell, a1
from lorchestra.storacle.outward.sheets_grid import Grid
from lorchestra.storacle.outward.source import Source, narrowed
from lorchestra.storacle.params import Identifier, Params
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError

if TYPE_CHECKING:
    from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess, Spreadsheet

# Google recommends requests of at most 2 MB.
BATCH_CELLS = 10_000
BATCH_BYTES = 2_000_000
MOST_CELLS = 10_000_000

_SMOKE_PREFIX = "smoke_"


def _distinct(columns: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(columns)) < len(columns):
        raise ValueError("distinct names are expected")
    return columns


def _printable(title: str) -> str:
    if not title.isprintable() or title != title.strip():
        raise ValueError("a plain title is expected")
    return title


SpreadsheetId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class SheetsWriteTable(Params):
    spreadsheet_id: SpreadsheetId
    sheet: Annotated[str, StringConstraints(min_length=1, max_length=70), AfterValidator(_printable)]
    columns: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=1000), AfterValidator(_distinct)]
    source: Source

    @property
    def read(self) -> Read:
        return narrowed(self.source, self.columns)

    def title(self, namespace: str, at: Path = ()) -> str:
        if namespace != PRODUCTION:
            return smoke_prefix(namespace) + self.sheet
        # Google finds sheets whatever the case of their titles.
        if self.sheet.casefold().startswith(_SMOKE_PREFIX):
            raise RpcError(ErrorCode.FORBIDDEN, at=(*at, "sheet"))
        return self.sheet


def smoke_prefix(namespace: str) -> str:
    """What the titles of a smoke run's sheets begin with."""
    return f"{namespace} "


class SheetsWriter:
    """Repeatable: the sheet depends on the params and the rows alone. Not atomic: a reader may see it half written."""

    def __init__(self, access: SheetsAccess) -> None:
        self._access = access

    def write(
        self, params: SheetsWriteTable, rows: Iterable[Mapping[str, Any]], *, namespace: str, at: Path = ()
    ) -> dict[str, int]:
        # Imported late: the HTTP library is slow to import, and few services write to sheets.
        from lorchestra.storacle.outward.sheets_http import exchange

        title = params.title(namespace, at)
        with exchange.open_client(self._access) as client:
            spreadsheet = exchange.Spreadsheet(self._access, client, params.spreadsheet_id, at=at)
            sheet = _Sheet(spreadsheet, title, width=len(params.columns), at=at)
            written = 0
            header: list[Cell] = [*params.columns]
            for batch in _batches(header, sheets_cells.cells(rows, params.columns, at)):
                if (written + len(batch)) * len(header) > MOST_CELLS:
                    raise RpcError(ErrorCode.TOO_LARGE, at=(*at, "rows"))
                sheet.put(batch, above=written)
                written += len(batch)
            sheet.clear_beyond(written)
        return {"written": written - 1}


def _batches(header: list[Cell], rows: Iterator[list[Cell]]) -> Iterator[list[list[Cell]]]:
    batch, size = [header], len(orjson.dumps(header))
    for row in rows:
        row_size = len(orjson.dumps(row))
        if (len(batch) + 1) * len(header) > BATCH_CELLS or size + row_size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_size
    # Without rows, the header alone.
    if batch:
        yield batch


class _Sheet:
    def __init__(self, spreadsheet: Spreadsheet, title: str, *, width: int, at: Path) -> None:
        self._spreadsheet = spreadsheet
        self._title = title
        self._width = width
        self._at = at
        self._grid = self._find() or self._add()

    def put(self, batch: list[list[Cell]], *, above: int) -> None:
        last_row = above + len(batch)
        self._make_room(last_row)
        place = a1(self._grid.title, first_row=above + 1, last_row=last_row, first_column=1, last_column=self._width)
        # Raw: a text that begins with "=" stays a text.
        data = [{"range": place, "majorDimension": "ROWS", "values": batch}]
        self._spreadsheet.post("/values:batchUpdate", {"valueInputOption": "RAW", "data": data})

    def clear_beyond(self, row: int) -> None:
        """Clear what is below the row, and to the right of the columns."""
        # Asked again: people may have made the sheet larger meanwhile.
        grid = self._require()
        title, end, width = grid.title, grid.columns, self._width
        ranges = []
        if grid.rows > row:
            ranges.append(a1(title, first_row=row + 1, last_row=grid.rows, first_column=1, last_column=end))
        if end > width:
            ranges.append(a1(title, first_row=1, last_row=row, first_column=width + 1, last_column=end))
        if ranges:
            self._spreadsheet.post("/values:batchClear", {"ranges": ranges})

    def _make_room(self, last_row: int) -> None:
        """Sizes are set and not added to, so that asking twice does no harm."""
        if last_row <= self._grid.rows and self._width <= self._grid.columns:
            return
        # Asked again: a size that people have changed meanwhile would be set back, and cells be lost.
        grid = self._require()
        size = {}
        if last_row > grid.rows:
            # Ahead of need, because the number of requests in a minute is limited.
            size["rowCount"] = last_row + min(last_row, MOST_CELLS // 100 // self._width)
        if self._width > grid.columns:
            size["columnCount"] = self._width
        if size:
            update = {
                "properties": {"sheetId": grid.sheet_id, "gridProperties": size},
                "fields": ",".join(f"gridProperties.{name}" for name in size),
            }
            self._spreadsheet.post(":batchUpdate", {"requests": [{"updateSheetProperties": update}]})
            rows, columns = size.get("rowCount", grid.rows), size.get("columnCount", grid.columns)
            grid = replace(grid, rows=rows, columns=columns)
        self._grid = grid

    def _require(self) -> Grid:
        grid = self._find()
        if grid is None:
            # Renamed or removed by someone, just now.
            raise RpcError(ErrorCode.UNAVAILABLE, at=(*self._at, "sheet"))
        return grid

    def _find(self) -> Grid | None:
        sheet = sheets_grid.find(sheets_grid.sheets_of(self._spreadsheet, self._at), self._title)
        return None if sheet is None else sheets_grid.grid_of(sheet, self._at)

    def _add(self) -> Grid:
        size = {"rowCount": max(1, BATCH_CELLS // self._width), "columnCount": self._width}
        properties = {"title": self._title, "gridProperties": size}
        try:
            self._spreadsheet.post(":batchUpdate", {"requests": [{"addSheet": {"properties": properties}}]})
        except RpcError as error:
            # It may be there by now: added by another writer, or by a request whose answer was lost.
            grid = self._find() if error.code is ErrorCode.INVALID_PARAMS else None
            if grid is None:
                raise
            return grid
        return self._require()
