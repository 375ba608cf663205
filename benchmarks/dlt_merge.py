"""Upserts beside dlt, which merges the same rows into DuckDB.

dlt is no dependency of ours. It is measured in an environment of its own, whose interpreter is told by DLT_PYTHON:

    python -m venv /tmp/dlt
    /tmp/dlt/bin/pip install 'dlt[duckdb]'
    DLT_PYTHON=/tmp/dlt/bin/python python -m benchmarks dlt_merge
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.figure import Figure, NotMeasured
from benchmarks.upserts import in_process, rows

ROWS = 20_000
ROUNDS = 3
NAME = "upserts in process, over dlt into DuckDB"

# The payload stays one column of JSON, as it is with us; dlt would make another table of its lists, and take longer.
CHILD = """
import json, sys, time
import dlt
from benchmarks.memory import peak_mib
with open(sys.argv[1], "rb") as file:
    batches = [json.loads(line) for line in file]
pipeline = dlt.pipeline(
    "bench", pipelines_dir="pipelines", dataset_name="raw", destination=dlt.destinations.duckdb("data.duckdb")
)
resource_of_rows = dlt.resource(
    iter(batches),
    name="raw_objects",
    primary_key="idem_key",
    write_disposition="merge",
    columns={"payload": {"data_type": "json"}},
)
begin = time.perf_counter()
pipeline.run(resource_of_rows)
seconds = time.perf_counter() - begin
with pipeline.sql_client() as client:
    assert client.execute_sql("SELECT count(*) FROM raw_objects") == [(sum(map(len, batches)),)]
print(seconds, peak_mib())
"""


def measure() -> list[Figure | NotMeasured]:
    python = os.environ.get("DLT_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import dlt, duckdb"], capture_output=True).returncode:
        how = "no dlt here; pip install 'dlt[duckdb]' in an environment of its own, and name its python as DLT_PYTHON"
        return [NotMeasured(name=NAME, reason=how)]
    batches = list(rows(ROWS))
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_ours(batches))
        theirs.append(_theirs(python, batches))
    return [
        Figure(
            name=NAME,
            measured=statistics.median(ours),
            baseline=statistics.median(theirs),
            unit="rows/s",
            bound=10,
            at_least=True,
        )
    ]


def _ours(batches: Sequence[list[dict[str, Any]]]) -> float:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, in_process(Path(folder, "data.db")) as writer:
        begin = time.perf_counter()
        writer.upsert(batches)
        return ROWS / (time.perf_counter() - begin)


def _theirs(python: str, batches: Sequence[list[dict[str, Any]]]) -> float:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder, "batches.jsonl")
        path.write_bytes(b"\n".join(map(orjson.dumps, batches)))
        # In that folder dlt finds no settings but these, and it leaves nothing elsewhere.
        own = {"HOME": folder, "DLT_DATA_DIR": folder, "RUNTIME__DLTHUB_TELEMETRY": "false"}
        environ = {**os.environ, **own, "PYTHONPATH": str(Path.cwd())}
        child = [python, "-c", CHILD, str(path)]
        done = subprocess.run(child, check=True, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
        seconds, peak = map(float, done.stdout.splitlines()[-1].split())
        rate = ROWS / seconds
        print(f"dlt: {rate:,.0f} rows/s, peak memory {peak:,.0f} MiB", file=sys.stderr)
        return rate
