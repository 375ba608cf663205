"""What the journal service knows: tables, cursors, tokens and the ledger, in memory.

A row is kept as its canonical bytes. Nothing that a caller still holds can change it, two rows are compared without
looking inside, and a row is written to the journal as it lies here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.params import is_identifier
from lorchestra.storacle.row_filter import kind_of

# Type and value by turns, so that keys of mixed types have an order, and true is not 1.
Key: TypeAlias = tuple[Any, ...]
TableId: TypeAlias = tuple[str, str, str]
"""Namespace, dataset, table."""
Counts: TypeAlias = dict[str, int]


class Table:
    def __init__(self, key_columns: tuple[str, ...]) -> None:
        self.key_columns = key_columns
        self._rows: dict[Key, bytes] = {}
        self._columns: set[str] = set()
        self._sorted: list[Key] | None = None

    def get(self, key: Key) -> bytes | None:
        return self._rows.get(key)

    def set(self, key: Key, row: bytes | None) -> None:
        if row is None:
            if self._rows.pop(key, None) is not None:
                self._sorted = None
            return
        if key not in self._rows:
            self._sorted = None
        self._rows[key] = row

    def has_columns_of(self, row: Mapping[Any, Any]) -> bool:
        """Whether the names in the row can be column names."""
        if not self._columns.issuperset(row):
            new = [name for name in row if name not in self._columns]
            if not all(is_identifier(name) for name in new):
                return False
            self._columns.update(new)
        return True

    def key_of(self, row: Mapping[str, Any]) -> Key | None:
        """The row's key; None when a key column has no plain value."""
        return key_from(row.get(column) for column in self.key_columns)

    def scan(self, after: Key | None = None) -> Iterator[tuple[Key, bytes]]:
        """The rows in the order of their keys, those after a key."""
        if self._sorted is None:
            self._sorted = sorted(self._rows)
        start = 0 if after is None else bisect_right(self._sorted, after)
        for position in range(start, len(self._sorted)):
            key = self._sorted[position]
            yield key, self._rows[key]


class State:
    def __init__(self) -> None:
        self.tables: dict[TableId, Table] = {}
        self.tokens: dict[tuple[str, str], int] = {}
        self.attempts: dict[tuple[str, str], int] = {}
        self.ledger: dict[tuple[str, str], Counts] = {}
        self.effects = 0

    def clear(self) -> None:
        self.tables.clear()
        self.tokens.clear()
        self.attempts.clear()
        self.ledger.clear()
        self.effects = 0

    def open_run(self, entry: Mapping[str, Any]) -> None:
        run = (entry["namespace"], entry["open"])
        self.tokens[run] = entry["token"]
        self.attempts[run] = entry.get("attempt_n", 1)

    def replay(self, entry: Any) -> None:
        """Take over what an earlier transaction wrote. Raises ValueError for what no transaction writes."""
        try:
            namespace = entry["namespace"]
            if "open" in entry:
                self.open_run(entry)
                return
            for change in entry["tables"]:
                table_id = (namespace, change["dataset"], change["table"])
                table = self.tables.setdefault(table_id, Table(tuple(change["key_columns"])))
                for row in change["put"]:
                    table.set(_known(table.key_of(row)), canonical_bytes(row))
                for values in change["delete"]:
                    table.set(_known(key_from(values)), None)
            for key, _, counts in entry["ledger"]:
                self.ledger[namespace, key] = counts
                self.effects += 1
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError("not an entry of this journal") from error


class Transaction:
    """Changes that are visible at once, and are either written to the journal or rolled back."""

    def __init__(self, state: State, namespace: str) -> None:
        self._state = state
        self._namespace = namespace
        self._before: dict[TableId, dict[Key, bytes | None]] = {}
        self._created: list[TableId] = []
        self._records: list[tuple[str, str, Counts]] = []

    @property
    def is_empty(self) -> bool:
        return not self._records

    def table(self, dataset: str, table: str) -> Table | None:
        return self._state.tables.get((self._namespace, dataset, table))

    def open_table(self, dataset: str, table: str, key_columns: tuple[str, ...]) -> Table:
        """The table; a new one when there is none yet."""
        table_id = (self._namespace, dataset, table)
        found = self._state.tables.get(table_id)
        if found is None:
            found = self._state.tables[table_id] = Table(key_columns)
            self._created.append(table_id)
        return found

    def set(self, dataset: str, table: str, key: Key, row: bytes | None) -> None:
        table_id = (self._namespace, dataset, table)
        target = self._state.tables[table_id]
        self._before.setdefault(table_id, {}).setdefault(key, target.get(key))
        target.set(key, row)

    def recorded(self, key: str) -> Counts | None:
        return self._state.ledger.get((self._namespace, key))

    def record(self, key: str, *, method: str, op_id: str, counts: Counts) -> None:
        self._state.ledger[self._namespace, key] = counts
        self._records.append((key, method, counts))

    def entry(self) -> dict[str, Any]:
        """What the journal keeps: the rows as they are now, so that replaying is repeatable."""
        tables = []
        for (_, dataset, name), before in self._before.items():
            table = self._state.tables[self._namespace, dataset, name]
            now = [(key, table.get(key)) for key in before]
            tables.append(
                {
                    "dataset": dataset,
                    "table": name,
                    "key_columns": table.key_columns,
                    "put": [orjson.Fragment(row) for _, row in now if row is not None],
                    "delete": [values_of(key) for key, row in now if row is None],
                }
            )
        return {"namespace": self._namespace, "tables": tables, "ledger": self._records}

    def commit(self) -> None:
        self._state.effects += len(self._records)
        self._drop(table_id for table_id in self._created if table_id not in self._before)

    def rollback(self) -> None:
        for table_id, before in self._before.items():
            table = self._state.tables[table_id]
            for key, row in before.items():
                table.set(key, row)
        for idempotency_key, _, _ in self._records:
            del self._state.ledger[self._namespace, idempotency_key]
        self._drop(self._created)

    def _drop(self, table_ids: Iterable[TableId]) -> None:
        # A table that never held a row has no key columns to hold later writers to.
        for table_id in table_ids:
            del self._state.tables[table_id]


def key_from(values: Iterable[Any]) -> Key | None:
    parts: list[Any] = []
    for value in values:
        kind = kind_of(value)
        if kind is None:
            return None
        parts += (kind, value)
    return tuple(parts)


def values_of(key: Key) -> list[Any]:
    return list(key[1::2])


def _known(key: Key | None) -> Key:
    if key is None:
        raise ValueError("a row without its key")
    return key
