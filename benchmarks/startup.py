"""How long a command takes to start, in units of a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.figure import Figure, median_pair

DEFINITIONS = 100

JOB = """\
job_id: {job_id}
version: '2.0'
description: One of many.
steps:
- step_id: fetch
  op: call
  params: {{callable: something, since: '@ctx.since'}}
- step_id: persist
  op: plan.build
  params: {{items: '@run.fetch.items', method: table.upsert, dataset: raw, table: raw_objects, key_columns: [idem_key]}}
- step_id: write
  op: storacle.submit
  params: {{plan: '@run.persist.plan'}}
"""


def measure() -> list[Figure]:
    lorchestra = [sys.executable, "-m", "lorchestra"]
    bare = [sys.executable, "-c", "pass"]
    with tempfile.TemporaryDirectory() as folder:
        definitions = Path(folder, "jobs", "definitions")
        definitions.mkdir(parents=True)
        for number in range(DEFINITIONS):
            job_id = f"job_{number:03d}"
            (definitions / f"{job_id}.yaml").write_text(JOB.format(job_id=job_id))
        return [
            _figure("lorchestra --help", [*lorchestra, "--help"], bare, folder, bound=10),
            _figure(
                f"lorchestra jobs list ({DEFINITIONS} jobs)", [*lorchestra, "jobs", "list"], bare, folder, bound=30
            ),
        ]


def _figure(name: str, command: Sequence[str], bare: Sequence[str], folder: str, *, bound: float) -> Figure:
    run = partial(subprocess.run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    run(command)
    measured, baseline = median_pair(partial(run, command), partial(run, bare), times=15)
    return Figure(name=name, measured=measured * 1000, baseline=baseline * 1000, unit="ms", bound=bound)
