"""A workspace whose every write and effect is a numbered event, at one of which the process kills or stops itself."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from lorchestra.digest import Digester
from lorchestra.json_value import JSONObject, JSONValue
from lorchestra.run_store import RunStore, SqliteRunStore
from lorchestra.run_store.protocol import PrivateValues, Pruned, RunFilter
from lorchestra.schemas import JobDef, RunRecord, StepManifest
from lorchestra.settings import Settings
from lorchestra.storacle import RpcClient, StoracleClient
from lorchestra.storacle.codec import Message
from lorchestra.storacle.outward.roots import DRAFT_PREFIX
from lorchestra.storacle.transports import Transport
from lorchestra.workspace import Workspace

T = TypeVar("T")

_ITEM = "test.item"
_LOCK = "fcntl.flock"
_OF_FILES = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.truncate"})


class Events:
    """Counts what happens. At event number `kill_at` the process is gone; at `stop_at` it stops until it is woken."""

    def __init__(self, *, kill_at: int | None = None, stop_at: int | None = None) -> None:
        self.names: list[str] = []
        self._signals = {kill_at: signal.SIGKILL, stop_at: signal.SIGSTOP}

    def happen(self, name: str) -> None:
        self.names.append(name)
        if (number := self._signals.get(len(self.names))) is not None:
            # To this very thread, which then does not take another step; a signal to the process may reach it late.
            signal.raise_signal(number)

    def around(self, name: str, write: Callable[[], T]) -> T:
        self.happen(f"before {name}")
        result = write()
        self.happen(f"after {name}")
        return result

    def watch_process(self) -> None:
        """From now on what happens in this process is heard; there is no end to it."""
        sys.addaudithook(self.listen)

    def listen(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: the items of callables are events as well."""
        if event == _ITEM:
            self.happen("item")


class FineEvents(Events):
    """A finer net: whatever Python does to a file below some folders, each lock taken or given back, and each statement
    of SQL before it is carried out, whoever opened the database. After a COMMIT is before whatever comes next.
    """

    def __init__(self, *folders: Path, kill_at: int | None = None, stop_at: int | None = None) -> None:
        super().__init__(kill_at=kill_at, stop_at=stop_at)
        # Drafts of files go by names within a folder that is open.
        self._prefixes = (*(f"{folder}/" for folder in folders), DRAFT_PREFIX)

    def watch_process(self) -> None:
        super().watch_process()
        connect = sqlite3.connect

        def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **options)
            connection.set_trace_callback(lambda statement: self.happen(statement.split(maxsplit=1)[0]))
            return connection

        # There is no other way to all connections of a process, whoever opens them.
        sqlite3.connect = watched  # type: ignore[assignment]  # watched has no overloads

    def listen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == _LOCK or (event in _OF_FILES and f"{arguments[0]}/".startswith(self._prefixes)):
            self.happen(event)


class KillingPrivateValues:
    def __init__(self, inner: PrivateValues, events: Events) -> None:
        self._inner = inner
        self._events = events

    def put(self, run_id: str, name: str, value: JSONValue) -> None:
        self._events.around(f"put {name}", lambda: self._inner.put(run_id, name, value))

    def spill(self, run_id: str, name: str, lines: Iterable[bytes]) -> int:
        def watched() -> Iterator[bytes]:
            for line in lines:
                self._events.happen(f"line of {name}")
                yield line

        return self._events.around(f"spill {name}", lambda: self._inner.spill(run_id, name, watched()))

    def remove(self, run_id: str) -> None:
        self._events.around("remove", lambda: self._inner.remove(run_id))

    def get(self, run_id: str, name: str) -> JSONValue:
        return self._inner.get(run_id, name)

    def read_spill(self, run_id: str, name: str) -> Iterator[bytes]:
        return self._inner.read_spill(run_id, name)


class KillingStore:
    def __init__(self, inner: RunStore, events: Events) -> None:
        self._inner = inner
        self._events = events
        self.private = KillingPrivateValues(inner.private, events)

    @property
    def digester(self) -> Digester:
        return self._inner.digester

    def open_run(self, record: RunRecord, definition: JobDef, manifests: Sequence[StepManifest], **more: Any) -> None:
        self._events.around("open_run", lambda: self._inner.open_run(record, definition, manifests, **more))

    def open_attempt(self, run_id: str, *, at: datetime, **more: Any) -> int:
        return self._events.around("open_attempt", lambda: self._inner.open_attempt(run_id, at=at, **more))

    def advance(self, run_id: str, attempt_n: int, **entries: Any) -> None:
        self._events.around("advance", lambda: self._inner.advance(run_id, attempt_n, **entries))

    def close_run(self, run_id: str, attempt_n: int, **end: Any) -> None:
        self._events.around("close_run", lambda: self._inner.close_run(run_id, attempt_n, **end))

    def get(self, run_id: str) -> RunRecord:
        return self._inner.get(run_id)

    def find(self, prefix: str) -> str:
        return self._inner.find(prefix)

    def list_runs(self, query: RunFilter) -> tuple[RunRecord, ...]:
        return self._inner.list_runs(query)

    def manifests(self, run_id: str) -> tuple[StepManifest, ...]:
        return self._inner.manifests(run_id)

    def definition(self, sha256: str) -> JSONObject:
        return self._inner.definition(sha256)

    def prune(self, before: datetime, *, dry_run: bool) -> Pruned:
        return self._inner.prune(before, dry_run=dry_run)

    def close(self) -> None:
        self._inner.close()


class KillingTransport:
    """Killed after sending, the process never sees the answer to what has been done."""

    def __init__(self, inner: Transport, events: Events) -> None:
        self._inner = inner
        self._events = events

    def send(self, message: Message) -> object:
        assert isinstance(message, dict)
        return self._events.around(message["method"], lambda: self._inner.send(message))


class KillingWorkspace(Workspace):
    """The project's workspace, with its store and its way to storacle watched."""

    def __init__(self, settings: Settings, *, events: Events, transport: Transport, is_impatient: bool = False) -> None:
        """One who is impatient takes every other process for dead that has not given a sign this very moment."""
        super().__init__(settings, environ={})
        self._is_impatient = is_impatient
        self._events = events
        self._transport = transport

    @cached_property
    def store(self) -> RunStore:
        chosen = self.settings.run_store
        stale_after_s = 0.0 if self._is_impatient else chosen.stale_after_s
        inner = SqliteRunStore(chosen.path, heartbeat_s=chosen.heartbeat_s, stale_after_s=stale_after_s)
        return KillingStore(inner, self._events)

    @cached_property
    def client(self) -> StoracleClient:
        return RpcClient(KillingTransport(self._transport, self._events))
