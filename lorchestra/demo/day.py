"""A day of the clinic: its providers are served, the daily pipeline is run on them, and what moved is told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from lorchestra.demo.project import COPIES, VAULT, DemoProject
from lorchestra.demo.serving import served
from lorchestra.demo.snapshot import Moved, Snapshot, take
from lorchestra.workspace import Workspace

PIPELINE = "daily_all"
COMPLETED, PARTIAL = 0, 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """How many records are in the quarantine for one reason."""

    records: int
    job_id: str
    schema: str
    pointer: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What became of a day. `exit_code` is that of the pipeline."""

    day: int
    exit_code: int
    seconds: float
    moved: Mapping[str, Moved]
    set_aside: tuple[SetAside, ...]
    clients: tuple[Mapping[str, Any], ...]
    """Two that have scores."""
    folder: Path

    @property
    def is_unchanged(self) -> bool:
        return not any(moved.any for moved in self.moved.values())

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder), "unchanged": self.is_unchanged}


def run(folder: Path, *, day: int, scale: float, quiet: bool = False) -> Day:
    """Run the day in a folder that is empty, or of an earlier demo. With `quiet` the pipeline shows nothing on standard
    output.
    """
    project = DemoProject(folder)
    tokens = project.prepare()
    # Settings that this process was given are not meant for the demo's project.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LORCHESTRA_")}
    with served(day=day, scale=scale, tokens=tokens) as url:
        project.connect(url)
        before = _look(project, environ, _snapshot)
        begin = time.monotonic()
        exit_code = subprocess.run(
            [sys.executable, "-m", "lorchestra", "--quiet", "exec", "pipeline", PIPELINE],
            cwd=project.folder,
            env=environ,
            stdout=subprocess.DEVNULL if quiet else None,
            check=False,
        ).returncode
        seconds = time.monotonic() - begin
    return _look(
        project,
        environ,
        lambda workspace: Day(
            day=day,
            exit_code=exit_code,
            seconds=seconds,
            moved=_snapshot(workspace).since(before),
            set_aside=_set_aside(workspace),
            # A pipeline that failed may have left no views.
            clients=_scored_clients(workspace) if exit_code in (COMPLETED, PARTIAL) else (),
            folder=project.folder,
        ),
    )


def _look(project: DemoProject, environ: Mapping[str, str], look: Callable[[Workspace], T]) -> T:
    with Workspace.open(start=project.folder, environ=environ) as workspace:
        return look(workspace)


def _snapshot(workspace: Workspace) -> Snapshot:
    root = workspace.settings.root
    return take(workspace.read, {"files in vault": root / VAULT, "files in copies": root / COPIES})


def _set_aside(workspace: Workspace) -> tuple[SetAside, ...]:
    columns = ["job_id", "schema", "pointer", "rule"]
    rows = workspace.read({"dataset": "events", "table": "quarantine", "columns": columns})
    counts = Counter(tuple(row[column] for column in columns) for row in rows)
    return tuple(
        SetAside(records=count, job_id=job_id, schema=schema, pointer=pointer, rule=rule)
        for (job_id, schema, pointer, rule), count in sorted(counts.items())
    )


def _scored_clients(workspace: Workspace) -> tuple[Mapping[str, Any], ...]:
    read = {
        "dataset": "derived",
        "table": "proj_clients",
        "columns": ["email", "name", "phq9_score", "phq9_label", "gad7_score", "gad7_label", "open_flag_label"],
        "where": {"phq9_score": {"gte": 0}, "gad7_score": {"gte": 0}},
        "order_by": ["email"],
        "limit": 2,
    }
    return tuple(workspace.read(read))
