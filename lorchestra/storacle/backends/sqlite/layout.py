"""How the rows of a table lie in the file: a column each where the table is declared, and else as one JSON text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

SqlValue: TypeAlias = str | int | float | bytes | None
Key: TypeAlias = tuple[SqlValue, ...]


class Written(NamedTuple):
    """A row on its way in: its key, and what it says, in whatever form its layout understands."""

    key: Key
    says: Any
    shape: Any = None
    """What its layout knows of all rows with the same columns."""


Change: TypeAlias = tuple[str, tuple[SqlValue, ...]]
"""A statement, and the values of one row for it; rows with the same statement are written together."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When, by which run and by which op a row is written."""

    at: str
    run_id: str
    tag: int


class Layout(Protocol):
    physical: str
    """Its name in the file; empty for a table that is not there."""
    key_columns: tuple[str, ...]
    key_names: tuple[str, ...]
    """The columns in the file that hold the key."""

    def ddl(self) -> tuple[str, ...]: ...

    def key_of(self, row: object) -> Key:
        """Raises RpcError (invalid params) with the place of what is missing, within the row."""

    def read_in(self, row: object) -> Written:
        """Raises RpcError (invalid params) for what the table cannot hold, with the place within the row."""

    def wanted(self, rows: Iterable[Written]) -> tuple[str, ...]:
        """Which columns of the rows that are there already have to be known, to see what changes."""

    def insertion(self, row: Written, moment: Moment) -> Change: ...

    def change(self, row: Written, old: Mapping[str, Any], moment: Moment) -> tuple[bool, Change | None]:
        """Whether the row says something new, and what has to be written over the one that is there, if anything."""

    def is_same(self, row: Written, old: Mapping[str, Any]) -> bool:
        """Whether a row that may not change any more says what is there."""


def quoted(name: str) -> str:
    return f'"{name}"'


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def matches(names: Sequence[str]) -> str:
    return " AND ".join(f"{quoted(name)} = ?" for name in names)
