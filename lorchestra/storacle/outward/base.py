"""What a method that reaches beyond the backend's tables promises, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, NamespaceObject, Selection
from lorchestra.storacle.read_spec import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """For whom something is written, and how the rows are had that go into it."""

    namespace: str
    select: Callable[[Read], AbstractContextManager[Selection]]


class OutwardMethod(Protocol):
    """Repeatable: what is made depends on the params, and on the rows they name, alone."""

    def carry_out(self, params: Any, reach: Reach, at: Path) -> Counts:
        """Raises RpcError, with a path below the one given."""

    def makes(self, params: Any, namespace: str, at: Path) -> NamespaceObject:
        """What will be made. Raises RpcError for what may not be."""

    def alone(self, params: Any, at: Path) -> AbstractContextManager[object]:
        """While it lasts, nobody else carries out an op where this one writes. Raises RpcError (busy).

        Whoever holds it and asks the ledger then cannot write over what a later op has made meanwhile.
        """

    def remove(self, made: NamespaceObject, namespace: str) -> None:
        """Take away what the namespace made, if it is there. Raises RpcError for what no smoke run can have made."""
