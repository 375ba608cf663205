"""What a recorded step and a whole small run cost, in units of one bare commit."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.commit import BareCommits
from benchmarks.figure import Figure
from benchmarks.jobs import callables, many_steps, three_steps
from lorchestra.executor import Executor
from lorchestra.run_store import SqliteRunStore
from lorchestra.storacle import RpcClient
from lorchestra.storacle.counting import CountingService
from lorchestra.storacle.transports import InProcessTransport

STEPS = 1000
ROUNDS = 5
RUNS = 300


def measure() -> list[Figure]:
    # Beside the working directory and not in the system's temporary folder, which may lie in memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = SqliteRunStore(Path(folder, "store"))
        client = RpcClient(InProcessTransport(CountingService()))
        try:
            with BareCommits(Path(folder, "steps.db")) as commits:
                step = _step(Executor(store, client=client, callables=callables(commit=commits.once)), commits)
            with BareCommits(Path(folder, "runs.db")) as commits:
                run = _run(Executor(store, client=client, callables=callables()), commits)
        finally:
            store.close()
    return [step, run]


def _step(executor: Executor, commits: BareCommits) -> Figure:
    """The callable of each step makes a bare commit, which takes turns with the step's own; its time is taken off.

    Both are totals of the same round, so that a commit that took long by chance counts the same on either side.
    """
    many = many_steps(STEPS, callable="commit")
    rounds = []
    for _ in range(ROUNDS):
        before = len(commits.taken)
        seconds = _seconds(lambda: executor.execute(many))
        bare = sum(commits.taken[before:])
        rounds.append(((seconds - bare) / STEPS, bare / STEPS))
    taken, baseline = sorted(rounds, key=lambda both: both[0] / both[1])[len(rounds) // 2]
    return Figure(
        name=f"a durable step (of {STEPS}), in commits",
        measured=taken * 1e6,
        baseline=baseline * 1e6,
        unit="us",
        bound=2.5,
    )


def _run(executor: Executor, commits: BareCommits) -> Figure:
    """Runs and bare commits take turns."""
    three = three_steps(records=10)
    executor.execute(three)
    taken = []
    for _ in range(RUNS):
        commits.once()
        taken.append(_seconds(lambda: executor.execute(three)))
    return Figure(
        name="a run of 3 steps, in commits",
        measured=statistics.median(taken) * 1e6,
        baseline=commits.median_seconds() * 1e6,
        unit="us",
        bound=12,
    )


def _seconds(work: object) -> float:
    begin = time.perf_counter()
    result = work()  # type: ignore[operator]
    taken = time.perf_counter() - begin
    if not result.success:
        raise RuntimeError(f"the measured run ended as {result.status}: {result.error}")
    return taken
