"""The project whose runs are killed, and what can be seen of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorchestra.run_store import RunFilter, SqliteRunStore
from lorchestra.schemas import RunRecord
from tests.data_plane import contents, rows_in

# The heartbeat is far away: its locks would make the events differ from run to run.
SETTINGS = """
run_store: {kind: sqlite, path: .lorchestra, heartbeat_s: 600, stale_after_s: 1200}
storacle: {kind: sqlite, path: data/data.db}
"""

# Five steps, of which two take the items of the first; then a segment that needs a value of an earlier step.
VISITS = """
job_id: visits
version: '2.0'
steps:
- {step_id: fetch, op: call, params: {callable: visits, day: '@payload.day', count: 9}}
- step_id: plan_a
  op: plan.build
  params: {items: '@run.fetch.items', method: table.upsert, dataset: raw, table: visits, key_columns: [idem_key],
           batch_size: 4}
- {step_id: write_a, op: storacle.submit, params: {plan: '@run.plan_a.plan'}}
- step_id: plan_b
  op: plan.build
  params: {items: '@run.fetch.items', method: wal.append, dataset: raw, table: raw_objects, batch_size: 3}
- {step_id: write_b, op: storacle.submit, params: {plan: '@run.plan_b.plan'}}
- {step_id: sum_up, op: call, params: {callable: summary, day: '@payload.day', asked_for: '@run.fetch.stats.asked_for'}}
- step_id: plan_c
  op: plan.build
  params: {items: '@run.sum_up.items', method: wal.append, dataset: raw, table: raw_objects}
- {step_id: write_c, op: storacle.submit, params: {plan: '@run.plan_c.plan'}}
"""

MONTH = """
job_id: month
version: '2.0'
steps:
- {step_id: open, op: call, params: {callable: summary, day: opening, asked_for: 1}}
- step_id: plan_open
  op: plan.build
  params: {items: '@run.open.items', method: wal.append, dataset: raw, table: raw_objects}
- {step_id: write_open, op: storacle.submit, params: {plan: '@run.plan_open.plan'}}
- {step_id: day, op: job.run, params: {job_id: visits, payload: {day: '@payload.day'}}}
- step_id: close
  op: call
  params: {callable: summary, day: closing, asked_for: '@run.day.outputs.fetch.stats.asked_for'}
- step_id: plan_close
  op: plan.build
  params: {items: '@run.close.items', method: wal.append, dataset: raw, table: raw_objects}
- {step_id: write_close, op: storacle.submit, params: {plan: '@run.plan_close.plan'}}
"""

# A pipeline in a pipeline; both jobs leave some records aside, which stops neither.
WEEK = """
pipeline_id: week
stages:
- {name: days, jobs: [visits]}
- {name: ends, jobs: [pipeline.ends]}
"""
ENDS = """
pipeline_id: ends
stages:
- {name: month, jobs: [month]}
"""

# An audit event is heard by whoever listens, which is how a test knows of each item; nobody else notices.
CALLABLES = {
    "visits": """
import sys
from lorchestra.items import Checkpoint, Marker, MarkerResult, Rejected

def execute(params):
    return {"items": visits(params["day"], params["count"]), "stats": {"asked_for": params["count"]}}

def visits(day, count):
    for number in range(count):
        sys.audit("test.item", number)
        key = f"test:clinic:visit:{day}-{number}"
        if number % 4 == 2:
            yield Rejected(idem_key=key, schema="visit", pointer="/minutes", rule="minimum")
            continue
        yield {"idem_key": key, "object_type": "visit", "payload": {"day": day, "minutes": 10 * number}}
        yield Marker(stage="visits", idem_key=key, content_hash=f"c{number}", code_hash="1", result=MarkerResult.OK)
    yield Checkpoint(key="visits", cursor={"day": day, "count": count})
""",
    "summary": """
import sys

def execute(params):
    sys.audit("test.item", "summary")
    return {"items": [{"idem_key": f"sum:{params['day']}", "payload": {"asked_for": params["asked_for"]}}]}
""",
}


@dataclass(frozen=True, slots=True)
class Project:
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data" / "data.db"

    @property
    def run_folder(self) -> Path:
        return self.folder / ".lorchestra"

    def store(self) -> SqliteRunStore:
        return SqliteRunStore(self.run_folder)

    def runs(self) -> list[RunRecord]:
        """The runs that nobody started but the operator, with their attempts."""
        store = self.store()
        try:
            found = store.list_runs(RunFilter(limit=1000))
            return [store.get(run.run_id) for run in found if run.parent_run_id is None]
        finally:
            store.close()

    def event_log(self) -> list[dict[str, Any]]:
        """What lorchestra says of its runs."""
        return rows_in(self.data, "events", "event_log")

    def private_files(self) -> list[str]:
        private = self.run_folder / "private"
        return sorted(path.relative_to(private).as_posix() for path in private.rglob("*")) if private.exists() else []


def make(folder: Path) -> Project:
    files = {
        "lorchestra.yaml": SETTINGS,
        "jobs/definitions/visits.yaml": VISITS,
        "jobs/definitions/month.yaml": MONTH,
        "pipelines/week.yaml": WEEK,
        "pipelines/ends.yaml": ENDS,
        **{f"callables/{name}.py": code for name, code in CALLABLES.items()},
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Project(folder)


def effects(project: Project) -> dict[str, Any]:
    """What was done to the data, in order, whoever did it. Equal when nothing was lost and nothing happened twice."""
    return contents(project.data, "raw.visits", "raw.raw_objects", "events.quarantine", "storacle._processed")
