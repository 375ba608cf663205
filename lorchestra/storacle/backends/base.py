"""What a backend promises to the service.

Everything a unit of ops does happens in one transaction: the token is checked in it, the effects and the ledger's rows
commit together or not at all. Errors are RpcErrors; those of an op have a path below the op's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from lorchestra.errors import Path
from lorchestra.storacle.params import Meta, Params
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Type

Counts: TypeAlias = dict[str, int]
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyOp:
    """An op of a known method, by the method's own name, whose params have been read. `at` is the place of those."""

    op_id: str
    method: str
    params: Params
    key: str
    content_sha256: str | None
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """`counts` are those of the earlier time when the op was applied before."""

    counts: Counts
    is_resend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    rows: list[dict[str, Any]]
    next: list[Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The rows of a read as they were at one moment, to be gone through once, without all of them in memory.

    `columns` are their names and types; None where the type is not known. Rows hold JSON values, times as texts.
    """

    columns: Mapping[str, Type | None]
    rows: Iterator[Row]
    version: str | None = None
    """The same only while the read gives the same rows; None where a backend cannot tell without reading them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceObject:
    """Something that a namespace made: `kind` is `table`, `view`, `file`, `sqlite` or `sheet`."""

    kind: str
    name: str
    """`dataset.table`, `root/path`, `root/path#table` or `spreadsheet/title`; never a value of a row."""


class UnitRefused(Exception):
    """The unit has no effect, because one of its ops is refused; `op` is the position of that op in the unit."""

    def __init__(self, op: int, error: RpcError) -> None:
        super().__init__(op)
        self.op = op
        self.error = error


class Backend(Protocol):
    def open_run(self, meta: Meta) -> int:
        """A token newer than every other of the run. Raises FENCED for an attempt before the latest."""

    def apply(self, unit: Sequence[ReadyOp], meta: Meta) -> list[Applied]:
        """All ops of the unit in their order, or none. An op whose key the ledger knows has no effect.

        Raises FENCED unless the token is the run's newest, and UnitRefused.
        """

    def recorded(self, key: str, meta: Meta) -> Counts | None:
        """The counts of the op with this key, when it was applied before. Raises FENCED as `apply` does."""

    def record(self, op: ReadyOp, counts: Counts, meta: Meta) -> None:
        """Put an op that was carried out elsewhere into the ledger, once. Raises FENCED as `apply` does."""

    def announce(self, made: NamespaceObject, meta: Meta) -> None:
        """Remember that the namespace is about to make something elsewhere. Raises FENCED as `apply` does."""

    def page(self, read: Read, meta: Meta, after: Sequence[Any] | None, limit: int) -> Page:
        """Up to `limit` rows in their order, from behind the place that an earlier page called `next`; fewer when they
        would take much memory. Rows of a table that is not there are none.
        """

    def select(self, read: Read, meta: Meta) -> AbstractContextManager[Selection]:
        """All rows of a read. Raises RpcError (invalid params) for a table that is neither there nor declared."""

    def objects(self, namespace: str) -> list[NamespaceObject]:
        """All that a namespace made, here and elsewhere."""

    def clean(self, namespace: str) -> None:
        """Remove all tables and views that a namespace made, and all that storacle noted of it, this list too."""

    def close(self) -> None: ...
