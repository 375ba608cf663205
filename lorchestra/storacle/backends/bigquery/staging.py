"""The rows of a unit on their way: checked, put into rounds, and loaded by one job into a table of their own.

A statement cannot write a row twice, and knows which columns its rows name. So rows of one key, and rows that name
other columns, go in different rounds of their op.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from google.cloud.bigquery import SchemaField

from lorchestra.errors import Path
from lorchestra.storacle.backends.bigquery.layout import Incoming, Layout
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Type

_NUMBERS = ("_op", "_round", "_position")


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedOp:
    """`rounds` are their numbers in the order in which they are carried out, with the columns that their rows name.
    `repeats` is how many rows say what the one before them of their key says.
    """

    prefix: str
    rounds: Sequence[tuple[int, frozenset[str]]]
    rows: int
    repeats: int = 0


@dataclass(slots=True)
class Staging:
    """What a load job brings, until it is sent."""

    lines: io.BytesIO = field(default_factory=io.BytesIO)
    _columns: dict[str, str] = field(default_factory=dict)
    _layouts: list[Layout] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return self.lines.tell() == 0

    @property
    def schema(self) -> tuple[SchemaField, ...]:
        numbers = (SchemaField(name, "INT64", mode="REQUIRED") for name in _NUMBERS)
        return (*numbers, *(SchemaField(name, type_) for name, type_ in self._columns.items()))

    def add(self, op: int, layout: Layout, rows: Sequence[Any], at: Path, *, keys_only: bool = False) -> StagedOp:
        """Raises RpcError (invalid params) with the place of the first row that does not fit."""
        prefix = self._prefix(layout)
        read = layout.key_of if keys_only else layout.read_in
        sorter = _Rounds()
        for position, row in enumerate(rows):
            incoming = _placed(read, row, (*at, "rows", position))
            if keys_only:
                incoming = Incoming(
                    key=incoming.key,
                    values={name: incoming.values[name] for name in layout.key_names},
                    names=frozenset(layout.key_names),
                )
            number = sorter.place(incoming)
            if number is not None:
                said = {prefix + name: value for name, value in incoming.values.items()}
                line = {"_op": op, "_round": number, "_position": position, **said}
                self.lines.write(_encoded(line, (*at, "rows", position)))
        return StagedOp(prefix=prefix, rounds=sorter.rounds, rows=len(rows), repeats=sorter.repeats)

    def _prefix(self, layout: Layout) -> str:
        """Before the names of columns: ops that write one table share theirs."""
        if layout not in self._layouts:
            self._layouts.append(layout)
            for name, type_ in layout.staged.items():
                column = f"t{len(self._layouts) - 1}_{name}"
                self._columns[column] = "STRING" if type_ is Type.JSON else type_.value
        return f"t{self._layouts.index(layout)}_"


class _Rounds:
    def __init__(self) -> None:
        self._numbers: dict[tuple[int, frozenset[str]], int] = {}
        self._last: dict[Hashable, tuple[int, Mapping[str, Any]]] = {}
        self.repeats = 0

    @property
    def rounds(self) -> tuple[tuple[int, frozenset[str]], ...]:
        return tuple((number, names) for (_, names), number in sorted(self._numbers.items(), key=_occurrence))

    def place(self, row: Incoming) -> int | None:
        """The number of the round for the next row; None for one that says nothing after the one before it."""
        before = self._last.get(row.key)
        if before is not None and before[1] == row.values:
            self.repeats += 1
            return None
        occurrence = 0 if before is None else before[0] + 1
        self._last[row.key] = (occurrence, row.values)
        return self._numbers.setdefault((occurrence, row.names), len(self._numbers))


def _occurrence(entry: tuple[tuple[int, frozenset[str]], int]) -> int:
    return entry[0][0]


def _placed(read: Callable[[object], Incoming], row: object, at: Path) -> Incoming:
    try:
        return read(row)
    except RpcError as error:
        raise RpcError(error.code, at=(*at, *error.at)) from None


def _encoded(line: Mapping[str, Any], at: Path) -> bytes:
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # Half a surrogate pair is a text in Python, and none in UTF-8.
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None
