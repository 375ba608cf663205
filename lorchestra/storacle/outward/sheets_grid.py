"""The sheets that a spreadsheet has, and how large they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

if TYPE_CHECKING:
    from lorchestra.storacle.outward.sheets_http.exchange import Spreadsheet

_FIELDS = "sheets.properties(sheetId,title,sheetType,hidden,gridProperties(rowCount,columnCount))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """`size` is None of one that has no cells."""

    sheet_id: int
    title: str
    is_hidden: bool
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    sheet_id: int
    title: str
    rows: int
    columns: int


def sheets_of(spreadsheet: Spreadsheet, at: Path) -> list[Sheet]:
    answer = spreadsheet.get(fields=_FIELDS)
    try:
        return [_sheet(sheet["properties"]) for sheet in answer.get("sheets", ())]
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise RpcError(ErrorCode.REFUSED, at=at)


def find(sheets: Sequence[Sheet], title: str) -> Sheet | None:
    """Google finds sheets whatever the case of their titles."""
    return next((sheet for sheet in sheets if sheet.title.casefold() == title.casefold()), None)


def grid_of(sheet: Sheet, at: Path) -> Grid:
    if sheet.size is None:
        raise RpcError(ErrorCode.REFUSED, at=(*at, "sheet"))
    rows, columns = sheet.size
    return Grid(sheet_id=sheet.sheet_id, title=sheet.title, rows=rows, columns=columns)


def _sheet(properties: Mapping[str, Any]) -> Sheet:
    size = None
    if properties.get("sheetType", "GRID") == "GRID":
        grid = properties["gridProperties"]
        size = (int(grid["rowCount"]), int(grid["columnCount"]))
    return Sheet(
        # Google leaves out what is zero, and the first sheet has this id.
        sheet_id=int(properties.get("sheetId", 0)),
        title=str(properties["title"]),
        is_hidden=bool(properties.get("hidden", False)),
        size=size,
    )
