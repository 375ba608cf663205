"""The baseline of everything durable: one bare SQLite commit in WAL mode with full sync."""

from __future__ import annotations

import sqlite3
import statistics
import time
from pathlib import Path
from types import TracebackType


class BareCommits:
    """Commits one row whenever it is asked to: in turn with what is measured, so that both meet the same disk and CPU.

    In a loop of its own, with everything warm, the same commit takes half the time.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, body TEXT)")
        self.taken: list[float] = []

    def __enter__(self) -> BareCommits:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def once(self) -> None:
        begin = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO steps (body) VALUES (?)", ("x" * 200,))
        self._connection.execute("COMMIT")
        self.taken.append(time.perf_counter() - begin)

    def median_seconds(self) -> float:
        return statistics.median(self.taken)
