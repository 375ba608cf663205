"""Peak memory of a long read, in process and over HTTP, and its rows a second beside those of a bare cursor."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.memory import peak_mib
from benchmarks.serving import Served
from benchmarks.upserts import META, in_process
from lorchestra.json_value import JSONObject
from lorchestra.storacle import RpcClient
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.transports import InProcessTransport, Transport
from lorchestra.storacle.transports.http import HttpTransport

ROWS = 1_000_000
FEW_ROWS = 100_000
ROUNDS = 3
COLUMNS = ("idem_key", "source_system", "external_id", "payload")
BARE = "by a bare cursor"
BOUND_MIB = 150
GROWTH = 1.2
"""How much more memory ten times the rows may take: none, but for what an allocator does as it pleases."""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder, "data.db")
        _child("fill", str(path), ROWS)
        few = _round(path, FEW_ROWS)
        rounds = [_round(path, ROWS) for _ in range(ROUNDS)]
    for way in few.rates:
        rate = statistics.median(one.rates[way] for one in rounds)
        ratio = statistics.median(one.rates[way] / one.rates[BARE] for one in rounds)
        print(f"{ROWS:,} rows read {way}: {rate:,.0f} rows/s, {ratio:.2f} of the cursor's", file=sys.stderr)
    figures = []
    for process, before in few.peaks.items():
        peak = max(one.peaks[process] for one in rounds)
        name = f"peak memory, {ROWS:,} rows read {process}"
        figures += [
            Figure(name=name, measured=peak, baseline=BOUND_MIB, unit="MiB", bound=1),
            Figure(name=f"{name}, over {FEW_ROWS:,}", measured=peak, baseline=before, unit="MiB", bound=GROWTH),
        ]
    return figures


@dataclass(frozen=True, slots=True)
class Round:
    """Rows a second of each way to read, and MiB of each process."""

    rates: Mapping[str, float]
    peaks: Mapping[str, float]


def fill(path: str, number: int) -> None:
    with in_process(Path(path)) as writer:
        writer.upsert(_batches(number))


def read_bare(path: str, number: int) -> None:
    """Fetches the rows: no pages, no types, no JSON."""
    with closing(sqlite3.connect(path)) as connection:
        (table,) = connection.execute("SELECT physical FROM _tables WHERE name = 'raw_objects'").fetchone()
        sql = f'SELECT {", ".join(COLUMNS)} FROM "{table}" ORDER BY idem_key LIMIT ?'
        _tell(connection.execute(sql, (number,)), number)


def read_in_process(path: str, number: int) -> None:
    with closing(DataService(SqliteBackend(Path(path)))) as service:
        _read(InProcessTransport(service), number)


def read_over_http(url: str, number: int) -> None:
    with closing(HttpTransport(url)) as transport:
        _read(transport, number)


def _round(path: Path, number: int) -> Round:
    _, bare = _child("read_bare", str(path), number)
    peak, near = _child("read_in_process", str(path), number)
    with Served(path) as served:
        client_peak, far = _child("read_over_http", served.url, number)
    return Round(
        {BARE: bare, "in process": near, "over HTTP": far},
        {"in process": peak, "over HTTP, client": client_peak, "over HTTP, server": served.peak_mib},
    )


def _child(function: str, where: str, number: int) -> list[float]:
    """What a function of this module tells, called in a process of its own."""
    program = f"import sys\nfrom benchmarks import reads\nreads.{function}(sys.argv[1], {number})"
    done = subprocess.run([sys.executable, "-c", program, where], check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) for word in done.stdout.split()]


def _read(transport: Transport, number: int) -> None:
    read: JSONObject = {"dataset": "raw", "table": "raw_objects", "columns": COLUMNS, "limit": number}
    _tell(RpcClient(transport).query(read, META), number)


def _tell(rows: Iterator[object], number: int) -> None:
    begin = time.perf_counter()
    found = sum(1 for _ in rows)
    seconds = time.perf_counter() - begin
    if found != number:
        raise RuntimeError(f"{found} rows were read instead of {number}")
    print(peak_mib(), found / seconds)


def _batches(number: int, size: int = 10_000) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, number, size):
        yield [
            {
                "idem_key": f"gmail:acct1:{position:08d}",
                "source_system": "gmail",
                "external_id": f"{position:016x}",
                "payload": {"id": position},
            }
            for position in range(start, min(start + size, number))
        ]
