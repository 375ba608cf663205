"""A small storacle: tables in memory, and in a journal file where effects are to outlive the process.

It carries plans and reads of any table, declared nowhere, and so serves tests, demos and first trials. What needs
SQL, files or declared tables is refused.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any

import orjson

from lorchestra.errors import ConfigurationError
from lorchestra.storacle.backends.base import Page
from lorchestra.storacle.codec import Message
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.journal.file import Append, Journal, JournalFile, NoJournal
from lorchestra.storacle.journal.methods import METHODS
from lorchestra.storacle.journal.state import State, Table, Transaction, key_from, values_of
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.row_filter import is_match
from lorchestra.storacle.service import RpcError

PAGE_BYTES = 4 * 1024 * 1024

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalService:
    """Several threads may share one service, and several processes one file."""

    def __init__(self, path: FilePath | None = None) -> None:
        self._lock = threading.Lock()
        self._state = State()
        self._journal: Journal = NoJournal() if path is None else JournalFile(path, self._state)
        self._service = DataService(self, METHODS)
        try:
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._journal.session():
                pass
        except OSError as error:
            raise ConfigurationError(f"the journal {path} cannot be opened: {error.strerror}") from error

    def handle(self, message: object) -> Message | None:
        return self._service.handle(message)

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

    def open_run(self, meta: Meta) -> int:
        run = (meta.namespace, meta.run_id)
        with self._session() as append:
            if meta.attempt_n < self._state.attempts.get(run, 1):
                raise RpcError(ErrorCode.FENCED)
            token = self._state.tokens.get(run, 0) + 1
            entry = {"namespace": meta.namespace, "open": meta.run_id, "token": token, "attempt_n": meta.attempt_n}
            append(lambda: entry)
            self._state.open_run(entry)
        return token

    @contextmanager
    def transaction(self, meta: Meta) -> Iterator[Transaction]:
        with self._session() as append:
            self._check_token(meta)
            tx = Transaction(self._state, meta.namespace)
            try:
                yield tx
                if not tx.is_empty:
                    append(tx.entry)
            except BaseException:
                tx.rollback()
                raise
            tx.commit()

    def _check_token(self, meta: Meta) -> None:
        if meta.token != self._state.tokens.get((meta.namespace, meta.run_id)):
            raise RpcError(ErrorCode.FENCED)

    def page(self, namespace: str, read: Read, after: Sequence[Any] | None, limit: int) -> Page:
        if read.unprocessed is not None:
            # Markers are kept, but only declared tables say which columns are content.
            raise RpcError(ErrorCode.UNSUPPORTED, at=("read", "unprocessed"))
        with self._session():
            table = self._state.tables.get((namespace, read.dataset, read.table))
            return Page(rows=[], next=None) if table is None else _page(table, read, after, limit)

    def close(self) -> None:
        """Nothing stays open between two calls."""

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


def _page(table: Table, read: Read, after: Sequence[Any] | None, limit: int) -> Page:
    start = None if after is None else key_from(after)
    if after is not None and (start is None or len(after) != len(table.key_columns)):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
    rows: list[dict[str, Any]] = []
    size = 0
    last = start
    for key, encoded in table.scan(start):
        if len(rows) >= limit or size >= PAGE_BYTES:
            return Page(rows=rows, next=None if last is None else values_of(last))
        last = key
        row = orjson.loads(encoded)
        if is_match(row, read.where):
            size += len(encoded)
            rows.append(row if read.columns is None else {column: row.get(column) for column in read.columns})
    return Page(rows=rows, next=None)
