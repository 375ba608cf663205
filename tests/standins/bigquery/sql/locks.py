"""Who may change a table: BigQuery lets transactions conflict by table, not by row."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.standins.bigquery.errors import Refusal

_QUEUE_S = 30.0


class Transaction:
    def __init__(self, began: int) -> None:
        self.began = began
        self.mutated: set[str] = set()


def conflict(table: str) -> Refusal:
    return Refusal("invalidQuery", f"Transaction is aborted due to concurrent update against table {table}.")


class TableLocks:
    """A transaction owns the tables whose rows it changed until it ends, and loses to a change made since it began."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owners: dict[str, Transaction] = {}
        self._last_change: dict[str, int] = {}
        self._commits = 0

    def begin(self) -> Transaction:
        with self._changed:
            return Transaction(self._commits)

    def mutate(self, transaction: Transaction, table: str) -> None:
        with self._changed:
            owner = self._owners.setdefault(table, transaction)
            if owner is not transaction or self._last_change.get(table, 0) > transaction.began:
                if owner is transaction and table not in transaction.mutated:
                    del self._owners[table]
                raise conflict(table)
            transaction.mutated.add(table)

    def end(self, transaction: Transaction, *, committed: bool) -> None:
        with self._changed:
            self._commits += committed
            for table in transaction.mutated:
                del self._owners[table]
                if committed:
                    self._last_change[table] = self._commits
            self._changed.notify_all()

    @contextmanager
    def alone(self, table: str) -> Iterator[None]:
        """A statement outside a transaction waits in the queue of its table."""
        own = Transaction(0)
        with self._changed:
            if not self._changed.wait_for(lambda: table not in self._owners, timeout=_QUEUE_S):
                raise Refusal("resourcesExceeded", f"DML on table {table} waited for too long")
            self._owners[table] = own
            own.mutated.add(table)
        committed = False
        try:
            yield
            committed = True
        finally:
            self.end(own, committed=committed)
