"""The day of the demo clinic: what an unchanged one costs, over the first; and its peak memory when there is more."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure
from lorchestra.demo.project import DemoProject
from lorchestra.demo.serving import served

SCALE = 20
ROUNDS = 3
IDLE_BOUND = 0.15
GROWTH = 1.3

_DONE = ("completed", "partial")
"""The clinic's malformed records are set aside, which makes a day partial."""
# In a process of its own: the peak of memory is that of a process. The clinic is served by another. How long a process
# takes to start is measured elsewhere; the time is the run's own.
_PROGRAM = """
import os, sys
from benchmarks.memory import peak_mib
import lorchestra
os.chdir(sys.argv[1])
result = lorchestra.run_pipeline("daily_all")
print(result.status, result.duration_ms, peak_mib())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    seconds: float
    peak_mib: float


def measure() -> list[Figure]:
    first, idle = [], []
    for _ in range(ROUNDS):
        with _clinic(1) as project:
            first.append(_run(project))
            idle.append(_run(project))
    with _clinic(SCALE) as project:
        large = _run(project)
        unchanged = _run(project)
    peak = statistics.median(day.peak_mib for day in first)
    idle_peak = statistics.median(day.peak_mib for day in idle)
    return [
        Figure(
            name="daily_all over an unchanged day, over the first run",
            measured=statistics.median(day.seconds for day in idle),
            baseline=statistics.median(day.seconds for day in first),
            unit="s",
            bound=IDLE_BOUND,
        ),
        _growth("the first run", large.peak_mib, peak),
        _growth("an unchanged day", unchanged.peak_mib, idle_peak),
    ]


def _growth(name: str, measured: float, baseline: float) -> Figure:
    return Figure(
        name=f"peak memory of {name}, the clinic {SCALE} times as large",
        measured=measured,
        baseline=baseline,
        unit="MiB",
        bound=GROWTH,
    )


@contextmanager
def _clinic(scale: float) -> Iterator[Path]:
    """The folder of a project that is connected to the clinic."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        project = DemoProject(Path(folder) / "demo")
        with served(day=1, scale=scale, tokens=project.prepare()) as url:
            project.connect(url)
            yield project.folder


def _run(project: Path) -> Day:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LORCHESTRA_")}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(project)], env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    status, duration_ms, peak = done.stdout.split()
    if status not in _DONE:
        raise RuntimeError("a measured day failed")
    return Day(seconds=float(duration_ms) / 1000, peak_mib=float(peak))
