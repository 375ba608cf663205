"""The baseline of everything durable: one bare SQLite commit in WAL mode with full sync."""

from __future__ import annotations

import sqlite3
import statistics
import time
from pathlib import Path


def median_commit_seconds(folder: Path, *, times: int) -> float:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS steps (id INTEGER PRIMARY KEY, body TEXT)")
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO steps (body) VALUES (?)", ("x" * 200,))
        connection.execute("COMMIT")
        taken.append(time.perf_counter() - begin)
    connection.close()
    return statistics.median(taken)
