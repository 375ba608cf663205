"""What a recorded step and a whole small run cost, in units of one bare commit."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.commit import median_commit_seconds
from benchmarks.figure import Figure
from benchmarks.jobs import callables, many_steps, three_steps
from lorchestra.executor import Executor
from lorchestra.run_store import SqliteRunStore
from lorchestra.storacle import RpcClient
from lorchestra.storacle.counting import CountingService
from lorchestra.storacle.transports import InProcessTransport

STEPS = 1000
ROUNDS = 5
RUNS = 50


def measure() -> list[Figure]:
    # Beside the working directory and not in the system's temporary folder, which may lie in memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = SqliteRunStore(Path(folder, "store"))
        client = RpcClient(InProcessTransport(CountingService()))
        executor = Executor(store, client=client, callables=callables())
        many, three = many_steps(STEPS), three_steps(records=10)
        executor.execute(three)
        commits, per_step, per_run = [], [], []
        for _ in range(ROUNDS):
            commits.append(median_commit_seconds(Path(folder), times=300))
            per_step.append(_seconds(lambda: executor.execute(many)) / STEPS)
            per_run.append(statistics.median(_seconds(lambda: executor.execute(three)) for _ in range(RUNS)))
        store.close()
    commit = statistics.median(commits) * 1e6
    return [
        Figure(
            name=f"a durable step (of {STEPS}), in commits",
            measured=statistics.median(per_step) * 1e6,
            baseline=commit,
            unit="us",
            bound=2.5,
        ),
        Figure(
            name="a run of 3 steps, in commits",
            measured=statistics.median(per_run) * 1e6,
            baseline=commit,
            unit="us",
            bound=12,
        ),
    ]


def _seconds(work: object) -> float:
    begin = time.perf_counter()
    result = work()  # type: ignore[operator]
    taken = time.perf_counter() - begin
    if not result.success:
        raise RuntimeError(f"the measured run ended as {result.status}: {result.error}")
    return taken
