"""What each method of a plan does to the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.journal.state import Counts, Key, Table, Transaction
from lorchestra.storacle.params import AssertExists, AssertRows, AssertUnique, Rows, StatePut, parse
from lorchestra.storacle.read_spec import Where, parse_where
from lorchestra.storacle.row_filter import is_match, kind_of
from lorchestra.storacle.service import RpcError

STATE_DATASET = "storacle"
STATE_TABLE = "_state"

OpMethod: TypeAlias = Callable[[Transaction, Any, Path], Counts]
"""Raises RpcError, with a path below the one it is given, when the op is refused."""


def upsert(tx: Transaction, value: Any, at: Path) -> Counts:
    """A row with a known key replaces the columns it names, and leaves the others."""
    params = _writable(value, at)
    counts = {"inserted": 0, "updated": 0, "unchanged": 0}
    for _, key, row, old in _rows(tx, params, at):
        if old is None:
            counts["inserted"] += 1
            tx.set(params.dataset, params.table, key, row)
            continue
        new = old if old == row else canonical_bytes({**orjson.loads(old), **orjson.loads(row)})
        if new == old:
            counts["unchanged"] += 1
        else:
            counts["updated"] += 1
            tx.set(params.dataset, params.table, key, new)
    return counts


def append(tx: Transaction, value: Any, at: Path) -> Counts:
    """A row with a known key is the same row, or is refused."""
    params = _writable(value, at)
    counts = {"inserted": 0, "unchanged": 0}
    for place, key, row, old in _rows(tx, params, at):
        if old is None:
            counts["inserted"] += 1
            tx.set(params.dataset, params.table, key, row)
        elif old == row:
            counts["unchanged"] += 1
        else:
            raise RpcError(ErrorCode.CONFLICT, at=place)
    return counts


def delete(tx: Transaction, value: Any, at: Path) -> Counts:
    """Rows are found by their key columns; what else they hold does not matter."""
    params = _writable(value, at)
    counts = {"deleted": 0, "absent": 0}
    for _, key, _, old in _rows(tx, params, at):
        if old is None:
            counts["absent"] += 1
        else:
            counts["deleted"] += 1
            tx.set(params.dataset, params.table, key, None)
    return counts


def put_state(tx: Transaction, value: Any, at: Path) -> Counts:
    """Compare and set. What is stored already need not be expected: storing it again changes nothing."""
    params = parse(StatePut, value, at)
    table = tx.open_table(STATE_DATASET, STATE_TABLE, ("key",))
    key = table.key_of({"key": params.key})
    if key is None:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "key"))
    old = table.get(key)
    stored = None if old is None else orjson.loads(old)["value"]
    new, expected = _encoded(params.value, (*at, "value")), _encoded(params.expected, (*at, "expected"))
    current = canonical_bytes(stored)
    if current == new:
        return {"stored": 0, "unchanged": 1}
    if current != expected:
        raise RpcError(ErrorCode.CONFLICT, at=(*at, "expected"))
    tx.set(STATE_DATASET, STATE_TABLE, key, canonical_bytes({"key": params.key, "value": params.value}))
    return {"stored": 1, "unchanged": 0}


def assert_rows(tx: Transaction, value: Any, at: Path) -> Counts:
    params = parse(AssertRows, value, at)
    where = parse_where(params.where, (*at, "where"))
    found = sum(1 for _ in _matching(tx, params, where))
    return _assertion(params.holds_for(found), found)


def assert_exists(tx: Transaction, value: Any, at: Path) -> Counts:
    params = parse(AssertExists, value, at)
    where = parse_where(params.where, (*at, "where"))
    found = sum(1 for _ in _matching(tx, params, where))
    return _assertion(found > 0, found)


def assert_unique(tx: Transaction, value: Any, at: Path) -> Counts:
    params = parse(AssertUnique, value, at)
    where = parse_where(params.where, (*at, "where"))
    seen: set[bytes] = set()
    found = 0
    for row in _matching(tx, params, where):
        values = [[kind_of(row.get(column)), row.get(column)] for column in params.columns]
        if any(one is None for _, one in values):
            continue
        found += 1
        seen.add(canonical_bytes(values))
    return _assertion(found == len(seen), found)


METHODS: Mapping[str, OpMethod] = {
    "table.upsert": upsert,
    "table.insert": append,
    "wal.append": append,
    "event.append": append,
    "table.delete": delete,
    "state.put": put_state,
    "assert.rows": assert_rows,
    "assert.exists": assert_exists,
    "assert.unique": assert_unique,
}


def _writable(value: Any, at: Path) -> Rows:
    params = parse(Rows, value, at)
    if (params.dataset, params.table) == (STATE_DATASET, STATE_TABLE):
        # Cursors are written by state.put alone, which compares first.
        raise RpcError(ErrorCode.FORBIDDEN, at=(*at, "table"))
    return params


def _rows(tx: Transaction, params: Rows, at: Path) -> Iterator[tuple[Path, Key, bytes, bytes | None]]:
    """The place of each row, its key, its bytes, and the bytes that its key has now."""
    table = tx.open_table(params.dataset, params.table, params.key_columns)
    if table.key_columns != params.key_columns:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "key_columns"))
    for index, row in enumerate(params.rows):
        place = (*at, "rows", index)
        if not isinstance(row, Mapping) or not table.has_columns_of(row):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=place)
        encoded = _encoded(row, place)
        # A date is text once it is JSON, so only what JSON holds can say whether a key is missing.
        key = table.key_of(row) or table.key_of(orjson.loads(encoded))
        if key is None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*place, _missing(table, row)))
        yield place, key, encoded, table.get(key)


def _missing(table: Table, row: Mapping[str, Any]) -> str:
    return next(column for column in table.key_columns if kind_of(row.get(column)) is None)


def _encoded(value: object, at: Path) -> bytes:
    try:
        return canonical_bytes(value)
    except TypeError:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at) from None


def _matching(
    tx: Transaction, params: AssertRows | AssertExists | AssertUnique, where: Where
) -> Iterator[dict[str, Any]]:
    table = tx.table(params.dataset, params.table)
    for _, encoded in table.scan() if table else ():
        row: dict[str, Any] = orjson.loads(encoded)
        if is_match(row, where):
            yield row


def _assertion(holds: bool, found: int) -> Counts:
    if not holds:
        raise RpcError(ErrorCode.ASSERTION_FAILED)
    return {"matched": found}
