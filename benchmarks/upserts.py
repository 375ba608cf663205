"""Rows a second into SQLite through client and service, over those of a bare loop that does the least."""

from __future__ import annotations

import random
import sqlite3
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from benchmarks.figure import Figure
from benchmarks.serving import Served
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.transports import InProcessTransport, Transport
from lorchestra.storacle.transports.http import HttpTransport

ROWS = 100_000
BATCH = 1_000
ROUNDS = 3
MEMORY_MIB = 120

META = RpcMeta(job_id="bench", run_id="bench", step_id="write", correlation_id="bench", ts="2026-01-01T00:00:00+00:00")

CHILD = f"""
from pathlib import Path
import sys
from benchmarks.memory import peak_mib
from benchmarks.upserts import in_process, rows
with in_process(Path(sys.argv[1])) as writer:
    writer.upsert(rows({ROWS}))
print(peak_mib())
"""


def rows(number: int) -> Iterator[list[dict[str, Any]]]:
    """Batches of rows with a payload of 2 KB, made of a few thousand words."""
    chance = random.Random(1)
    words = ["".join(chance.choices(string.ascii_letters, k=60)) for _ in range(4_000)]
    for start in range(0, number, BATCH):
        yield [
            {
                "idem_key": f"gmail:acct1:{position:08d}",
                "source_system": "gmail",
                "connection_name": "acct1",
                "object_type": "email",
                "external_id": f"{position:016x}",
                "payload": {"id": position, "headers": [{"name": "h", "value": words[one]} for one in picked]},
                "last_seen": "2026-01-01T00:00:00Z",
                "correlation_id": "bench",
            }
            for position in range(start, min(start + BATCH, number))
            for picked in (chance.sample(range(4_000), 24),)
        ]


class Writer:
    """Sends batches as whoever submits a plan does."""

    def __init__(self, transport: Transport) -> None:
        self._client = RpcClient(transport)
        self._meta = replace(META, token=self._client.open_run(META))
        self._keys = map(str, count())

    def upsert(self, batches: Iterable[list[dict[str, Any]]]) -> None:
        for batch in batches:
            params = {"dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"], "rows": batch}
            op = StoracleOp(op_id="op", method="table.upsert", params=params, idempotency_key=next(self._keys))
            self._client.execute_plan(StoraclePlan(correlation_id="bench", ops=(op,)), self._meta)


@contextmanager
def in_process(path: Path) -> Iterator[Writer]:
    """The whole way of a row: client, service, SQLite."""
    service = DataService(SqliteBackend(path))
    try:
        yield Writer(InProcessTransport(service))
    finally:
        service.close()


@contextmanager
def over_http(path: Path) -> Iterator[Writer]:
    with Served(path) as served, closing(HttpTransport(served.url)) as transport:
        yield Writer(transport)


def bare(path: Path, batches: Sequence[list[dict[str, Any]]]) -> None:
    """Encodes each payload once and upserts: no comparison, no ledger, no types."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size = 16384")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    names = tuple(batches[0][0])
    connection.execute(f"CREATE TABLE t ({', '.join(names)}, PRIMARY KEY (idem_key))")
    marks, updates = ", ".join("?" * len(names)), ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    sql = f"INSERT INTO t VALUES ({marks}) ON CONFLICT (idem_key) DO UPDATE SET {updates}"
    for batch in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(sql, [tuple({**row, "payload": orjson.dumps(row["payload"])}.values()) for row in batch])
        connection.execute("COMMIT")
    connection.close()


def measure() -> list[Figure]:
    taken: dict[str, list[float]] = {"bare": [], "first": [], "second": [], "http": []}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        child = [sys.executable, "-c", CHILD, str(Path(folder, "memory.db"))]
        done = subprocess.run(child, check=True, capture_output=True, text=True)
        batches = list(rows(ROWS))
        for number in range(ROUNDS):
            at = Path(folder, str(number))
            taken["bare"].append(_rate(partial(bare, at.with_suffix(".bare"), batches)))
            with in_process(at.with_suffix(".db")) as writer:
                taken["first"].append(_rate(partial(writer.upsert, batches)))
                taken["second"].append(_rate(partial(writer.upsert, batches)))
            with over_http(at.with_suffix(".http")) as writer:
                taken["http"].append(_rate(partial(writer.upsert, batches)))
            for path in Path(folder).iterdir():
                path.unlink()
    rate = {name: statistics.median(rates) for name, rates in taken.items()}
    return [
        _figure("upserts in process, over a bare loop", rate["first"], rate["bare"], 0.45),
        _figure("the same rows again, over the first time", rate["second"], rate["first"], 1.0),
        _figure("upserts over HTTP, over a bare loop", rate["http"], rate["bare"], 0.25),
        Figure(
            name=f"peak memory, {ROWS:,} upserts",
            measured=float(done.stdout),
            baseline=MEMORY_MIB,
            unit="MiB",
            bound=1,
        ),
    ]


def _rate(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return ROWS / (time.perf_counter() - begin)


def _figure(name: str, measured: float, baseline: float, bound: float) -> Figure:
    return Figure(name=name, measured=measured, baseline=baseline, unit="rows/s", bound=bound, at_least=True)
