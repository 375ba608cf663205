"""How the rows of a table lie in the file: a column each where the table is declared, and else as one JSON text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

OP = "_op"
"""The column that holds the tag of the op that wrote the row last."""

SqlValue: TypeAlias = str | int | float | bytes | None
Key: TypeAlias = tuple[SqlValue, ...]


class Written(NamedTuple):
    """A row on its way in: its key, and what it says, in whatever form its layout understands."""

    key: Key
    says: Any


class Change(NamedTuple):
    """One statement and the values of one row for it; rows with the same statement are written together."""

    sql: str
    values: tuple[SqlValue, ...]


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

    def wanted(self, rows: Sequence[Written]) -> tuple[str, ...]:
        """Which columns of the rows that are there already have to be known, to see what changes."""

    def insertion(self, row: Written, moment: Moment) -> Change: ...

    def change(self, row: Written, old: Mapping[str, Any], moment: Moment) -> Change | None:
        """What has to be written over a row that is there; None when the row says nothing new."""

    def is_same(self, row: Written, old: Mapping[str, Any]) -> bool:
        """Whether a row that may not change any more says what is there."""

    def touch(self, row: Written, moment: Moment) -> Change | None:
        """What is written over a row that says nothing new, if anything."""


def quoted(name: str) -> str:
    return f'"{name}"'


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def matches(names: Sequence[str]) -> str:
    return " AND ".join(f"{quoted(name)} = ?" for name in names)
