"""What a value becomes in a cell of a spreadsheet, and what ranges of cells are called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

Cell: TypeAlias = bool | int | float | str

LONGEST_CELL = 50_000
# A cell holds a double: beyond this, a number would become another one.
_LARGEST_INT = 2**53


def cells(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], at: Path) -> Iterator[list[Cell]]:
    """The rows as lists of cells, all of them as long as the header."""
    known = frozenset(columns)
    for index, row in enumerate(rows):
        if not known.issuperset(row):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "rows", index))
        yield [_checked(row.get(name), (*at, "rows", index, name)) for name in columns]


def _checked(value: Any, at: Path) -> Cell:
    try:
        cell = _cell(value)
    except (TypeError, ValueError):
        code = ErrorCode.INVALID_PARAMS
    else:
        if not isinstance(cell, str) or _length(cell) <= LONGEST_CELL:
            return cell
        code = ErrorCode.TOO_LARGE
    # Outside the `except`: messages of encoders may quote the value.
    raise RpcError(code, at=at)


def _cell(value: Any) -> Cell:
    match value:
        case None:
            # Null would leave in the cell whatever it holds.
            return ""
        case bool():
            return value
        case int():
            return value if abs(value) <= _LARGEST_INT else str(value)
        case float():
            if not math.isfinite(value):
                raise ValueError
            return value
        case str():
            value.encode()
            return value
        case datetime() | date():
            return value.isoformat()
        case Mapping() | list() | tuple():
            return canonical_bytes(value).decode()
    raise TypeError


def _length(text: str) -> int:
    """In the units of UTF-16, as the service counts; most texts are too short for the difference to matter."""
    return len(text) if len(text) <= LONGEST_CELL // 2 else len(text.encode("utf-16-le")) // 2


def a1(title: str, *, first_row: int, last_row: int, first_column: int, last_column: int) -> str:
    """A range in A1 notation; rows and columns count from one."""
    quoted = title.replace("'", "''")
    return f"'{quoted}'!{_letters(first_column)}{first_row}:{_letters(last_column)}{last_row}"


def _letters(column: int) -> str:
    text = ""
    while column:
        column, digit = divmod(column - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
