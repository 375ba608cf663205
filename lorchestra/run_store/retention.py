"""Which runs may go. Families of parents and children go together or stay together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    run_id: str
    parent_run_id: str | None
    ended_at: datetime | None
    """None for a run that is running."""


def expired(runs: Iterable[RunEnd], before: datetime) -> tuple[str, ...]:
    """The ids of the runs that ended before a time, and whose whole family did."""
    by_id = {run.run_id: run for run in runs}
    roots = {run_id: _root(run, by_id) for run_id, run in by_id.items()}
    staying = {roots[run_id] for run_id, run in by_id.items() if run.ended_at is None or run.ended_at >= before}
    return tuple(sorted(run_id for run_id, root in roots.items() if root not in staying))


def _root(run: RunEnd, by_id: dict[str, RunEnd]) -> str:
    while run.parent_run_id is not None and run.parent_run_id in by_id:
        run = by_id[run.parent_run_id]
    return run.run_id
