"""How the rows of a table lie in BigQuery: what a load job brings of them, and what SQL makes of that."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.cloud.bigquery import SchemaField

from lorchestra.storacle.tables import Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A row on its way in: its key, and the columns that it names with the values that a load job takes."""

    key: Hashable
    values: Mapping[str, Any]
    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When, by which run and by which op rows are written, as parameters of a script."""

    at: str
    run_id: str
    tag: str


class Layout(Protocol):
    key_columns: tuple[str, ...]
    """What the rows call their key."""
    key_names: tuple[str, ...]
    """The columns that hold it."""

    @property
    def schema(self) -> tuple[SchemaField, ...]: ...

    @property
    def staged(self) -> Mapping[str, Type]:
        """What a load job brings of a row."""

    def read_in(self, row: object) -> Incoming:
        """Raises RpcError (invalid params) for what the table cannot hold, with the place within the row."""

    def key_of(self, row: object) -> Incoming:
        """The same for a row of which only the key counts."""

    def merged(self, prefix: str, names: frozenset[str], moment: Moment, *, over_old: bool) -> Mapping[str, str]:
        """SQL for what each column has once a row is written that names some: `s` is what came, with a prefix before
        its columns, and `t` what is there, if anything.
        """

    @property
    def content(self) -> str:
        """SQL over merged columns for a text that says what the row says."""

    def verdict(self, names: frozenset[str]) -> str | None:
        """A column that is no content, and the change of which is a change of the row nevertheless."""

    def updated(self, names: frozenset[str]) -> Sequence[str]:
        """The columns that are set when the row says something new."""

    @property
    def touched(self) -> Sequence[str]:
        """The columns that are set although the row says nothing new."""
