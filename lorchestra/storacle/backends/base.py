"""What a backend promises to the service.

Everything an op does happens in one transaction: the token is checked in it, the effect and the ledger row commit
together or not at all. Errors are RpcErrors, with paths below the one that is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from lorchestra.errors import Path
from lorchestra.json_value import JSONValue
from lorchestra.storacle.params import Meta, Rows
from lorchestra.storacle.read_spec import Read, Where

Counts: TypeAlias = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    rows: list[dict[str, Any]]
    next: list[Any] | None


class Ledger(Protocol):
    def recorded(self, key: str) -> Counts | None:
        """The counts of the op with this key, when it was applied before."""

    def record(self, key: str, *, method: str, op_id: str, counts: Counts) -> None: ...


class Transaction(Ledger, Protocol):
    @property
    def namespace(self) -> str: ...

    def upsert(self, rows: Rows, at: Path) -> Counts:
        """A row with a known key replaces the columns it names, and leaves the others."""

    def append(self, rows: Rows, at: Path) -> Counts:
        """A row with a known key is the same row, or a CONFLICT."""

    def delete(self, rows: Rows, at: Path) -> Counts:
        """Rows are found by their key columns; what else they hold does not matter."""

    def state(self, key: str) -> JSONValue:
        """What is stored under a key; None without it."""

    def put_state(self, key: str, value: JSONValue) -> None: ...

    def count(self, dataset: str, table: str, where: Where) -> int: ...

    def count_distinct(self, dataset: str, table: str, columns: Sequence[str], where: Where) -> tuple[int, int]:
        """How many rows that match have a value in each of the columns, and how many different ones."""


class Backend(Protocol):
    def open_run(self, meta: Meta) -> int:
        """A token newer than every other of the run. Raises FENCED for an attempt before the latest."""

    def transaction(self, meta: Meta) -> AbstractContextManager[Ledger]:
        """Raises FENCED unless the token is the run's newest."""

    def page(self, namespace: str, read: Read, after: Sequence[Any] | None, limit: int) -> Page:
        """Up to `limit` rows in the order of their key; fewer when they would take much memory."""

    def close(self) -> None: ...


Row: TypeAlias = Mapping[str, Any]
