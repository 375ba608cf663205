"""Two processes on one run store: together at least nearly as fast as one alone."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure

JOBS = 200
ROUNDS = 3

CHILD = """
import sys
from pathlib import Path
from benchmarks.jobs import callables, three_steps
from lorchestra.executor import Executor
from lorchestra.run_store import SqliteRunStore
from lorchestra.storacle import RpcClient
from lorchestra.storacle.counting import CountingService
from lorchestra.storacle.transports import InProcessTransport
store = SqliteRunStore(Path(sys.argv[1]))
executor = Executor(store, client=RpcClient(InProcessTransport(CountingService())), callables=callables())
job = three_steps(10)
executor.execute(job)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    result = executor.execute(job)
    assert result.success, result.to_dict()
store.close()
"""


def measure() -> list[Figure]:
    alone, together = [], []
    for _ in range(ROUNDS):
        alone.append(_jobs_per_second(1))
        together.append(_jobs_per_second(2))
    return [
        Figure(
            name=f"2 processes x {JOBS} jobs on one store, against one",
            measured=statistics.median(together),
            baseline=statistics.median(alone),
            unit="jobs/s",
            bound=0.9,
            at_least=True,
        )
    ]


def _jobs_per_second(processes: int) -> float:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        children = [
            subprocess.Popen(
                [sys.executable, "-c", CHILD, folder, str(JOBS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(processes)
        ]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        begin = time.perf_counter()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        codes = [child.wait() for child in children]
        seconds = time.perf_counter() - begin
        if any(codes):
            raise RuntimeError("a measured process failed")
        return processes * JOBS / seconds
