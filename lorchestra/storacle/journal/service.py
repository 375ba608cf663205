"""A small storacle: tables in memory, and in a journal file where effects are to outlive the process.

It carries plans and reads of any table, declared nowhere, and so serves tests, demos and first trials. What needs
SQL, files or declared tables is refused.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path as FilePath
from typing import Any

import orjson

from lorchestra.errors import ConfigurationError, Path
from lorchestra.json_value import JSONValue
from lorchestra.storacle.codec import Message
from lorchestra.storacle.codec import Params as RpcParams
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.journal.file import Append, Journal, JournalFile, NoJournal
from lorchestra.storacle.journal.methods import ALIASES, METHODS
from lorchestra.storacle.journal.state import State, Table, Transaction, key_from, values_of
from lorchestra.storacle.params import ExecutePlan, Meta, Op, OpenRun, Query, parse, parse_ops
from lorchestra.storacle.protocol import OpStatus
from lorchestra.storacle.read_spec import Read, parse_read
from lorchestra.storacle.row_filter import is_match
from lorchestra.storacle.service import Dispatcher, RpcError

PAGE_BYTES = 4 * 1024 * 1024

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OPS: Path = ("plan", "ops")


class JournalService:
    """Several threads may share one service, and several processes one file."""

    def __init__(self, path: FilePath | None = None) -> None:
        self._lock = threading.Lock()
        self._state = State()
        self._journal: Journal = NoJournal() if path is None else JournalFile(path, self._state)
        self._dispatcher = Dispatcher(
            {
                "run.open": self._open_run,
                "storacle.execute_plan": self._execute_plan,
                "storacle.query": self._query,
                "bq.query": self._query,
            }
        )
        try:
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._journal.session():
                pass
        except OSError as error:
            raise ConfigurationError(f"the journal {path} cannot be opened: {error.strerror}") from error

    def handle(self, message: object) -> Message | None:
        return self._dispatcher.handle(message)

    def rows(self, namespace: str, dataset: str, table: str) -> list[dict[str, Any]]:
        """The rows of a table in the order of their key."""
        with self._session():
            found = self._state.tables.get((namespace, dataset, table))
            return [orjson.loads(row) for _, row in found.scan()] if found else []

    @property
    def effects(self) -> int:
        """How many ops have been committed, by whomever."""
        with self._session():
            return self._state.effects

    def _open_run(self, params: RpcParams) -> JSONValue:
        meta = parse(OpenRun, params).meta
        run = (meta.namespace, meta.run_id)
        with self._session() as append:
            if meta.attempt_n < self._state.attempts.get(run, 1):
                raise RpcError(ErrorCode.FENCED)
            token = self._state.tokens.get(run, 0) + 1
            entry = {"namespace": meta.namespace, "open": meta.run_id, "token": token, "attempt_n": meta.attempt_n}
            append(lambda: entry)
            self._state.open_run(entry)
        return {"token": token}

    def _execute_plan(self, params: RpcParams) -> JSONValue:
        request = parse(ExecutePlan, params)
        ops = parse_ops(request.plan.ops, _OPS)
        seen: set[str] = set()
        for index, op in enumerate(ops):
            if op.op_id in seen:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=(*_OPS, index, "op_id"))
            seen.add(op.op_id)
        results: list[dict[str, Any]] = []
        for unit in _units(ops):
            try:
                results += self._apply(unit, request.meta)
            except _OpRefused as refused:
                return {"ops": results, "refused": refused.to_dict()}
        return {"ops": results, "refused": None}

    def _apply(self, unit: Sequence[tuple[int, Op]], meta: Meta) -> list[dict[str, Any]]:
        """All ops of the unit, or none."""
        op = unit[0][1]
        try:
            with self._session() as append:
                self._check_token(meta)
                tx = Transaction(self._state, meta.namespace)
                try:
                    results = []
                    for index, op in unit:
                        results.append(_apply_op(tx, op, (*_OPS, index, "params")))
                    if not tx.is_empty:
                        append(tx.entry)
                except BaseException:
                    tx.rollback()
                    raise
                tx.commit()
                return results
        except RpcError as error:
            raise _OpRefused(op, error) from error

    def _check_token(self, meta: Meta) -> None:
        if meta.token != self._state.tokens.get((meta.namespace, meta.run_id)):
            raise RpcError(ErrorCode.FENCED)

    def _query(self, params: RpcParams) -> JSONValue:
        request = parse(Query, params)
        read = parse_read(request.read, ("read",))
        if read.unprocessed is not None:
            # Markers are kept, but only declared tables say which columns are content.
            raise RpcError(ErrorCode.UNSUPPORTED, at=("read", "unprocessed"))
        with self._session():
            table = self._state.tables.get((request.meta.namespace, read.dataset, read.table))
            if table is None:
                return {"rows": [], "next": None}
            limit = request.limit if read.limit is None else min(request.limit, read.limit)
            return _page(table, read, request.after, limit)

    @contextmanager
    def _session(self) -> Iterator[Append]:
        with self._lock:
            try:
                with self._journal.session() as append:
                    yield append
            except OSError as error:
                code = ErrorCode.STORAGE_FULL if error.errno in _FULL else ErrorCode.UNAVAILABLE
                raise RpcError(code) from error
            except RpcError:
                raise
            except BaseException:
                # An interrupt may have come between the file and the memory; the file is right.
                self._journal.forget()
                raise


class _OpRefused(Exception):
    def __init__(self, op: Op, error: RpcError) -> None:
        super().__init__(op.op_id)
        self.op = op
        self.error = error

    def to_dict(self) -> dict[str, Any]:
        return {"op_id": self.op.op_id, "method": self.op.method, "code": int(self.error.code), **self.error.data()}


def _units(ops: Sequence[Op]) -> Iterator[Sequence[tuple[int, Op]]]:
    """The ops with their positions: neighbours of one group together, every other op alone."""
    for _, unit in groupby(enumerate(ops), lambda entry: (entry[1].group, None if entry[1].group else entry[0])):
        yield tuple(unit)


def _apply_op(tx: Transaction, op: Op, at: Path) -> dict[str, Any]:
    name = ALIASES.get(op.method, op.method)
    method = METHODS.get(name)
    if method is None:
        raise RpcError(ErrorCode.METHOD_NOT_FOUND)
    counts = tx.recorded(op.idempotency_key)
    status = OpStatus.ALREADY
    if counts is None:
        status = OpStatus.APPLIED
        counts = method(tx, op.params, at)
        tx.record(op.idempotency_key, name, counts)
    return {"op_id": op.op_id, "method": name, "status": status.value, "counts": dict(counts)}


def _page(table: Table, read: Read, after: Any, limit: int) -> JSONValue:
    start = None if after is None else key_from(after)
    if after is not None and (start is None or len(after) != len(table.key_columns)):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
    rows: list[dict[str, Any]] = []
    size = 0
    last = start
    for key, encoded in table.scan(start):
        if len(rows) >= limit or size >= PAGE_BYTES:
            return {"rows": rows, "next": None if last is None else values_of(last)}
        last = key
        row = orjson.loads(encoded)
        if is_match(row, read.where):
            size += len(encoded)
            rows.append(row if read.columns is None else {column: row.get(column) for column in read.columns})
    return {"rows": rows, "next": None}
