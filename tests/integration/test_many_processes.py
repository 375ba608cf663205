"""Several processes at once on one project: none is in the way of another, and no job runs twice where it may not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lorchestra.schemas import RunRecord, RunStatus
from tests.data_plane import DataPlane, rows_in
from tests.integration.crash import project as projects
from tests.integration.crash.operator import Operator, first_to_answer
from tests.integration.crash.project import Project
from tests.jobs import wait_until

WITHIN_S = 60.0

# Waits, in the midst of its items, until a file says that it may go on.
WAITING = """
import time
from pathlib import Path

def execute(params):
    return {"items": items(params["name"], Path(params["folder"]))}

def items(name, folder):
    yield {"idem_key": f"{name}-first"}
    (folder / f"{name}.reached").touch()
    while not (folder / "go").exists():
        time.sleep(0.002)
    yield {"idem_key": f"{name}-last"}
"""

NOTES = """
job_id: {job_id}
version: '2.0'
concurrency: {concurrency}
steps:
- {{step_id: fetch, op: call, params: {{callable: waiting, name: '@payload.name', folder: '@payload.folder'}}}}
- step_id: plan
  op: plan.build
  params: {{items: '@run.fetch.items', method: wal.append, dataset: raw, table: raw_objects, batch_size: 1}}
- {{step_id: write, op: storacle.submit, params: {{plan: '@run.plan.plan'}}}}
"""
POLICIES = ("allow", "queue", "skip", "fail")


class Office:
    """A project, and two operators who work in it at the same time."""

    def __init__(self, project: Project, first: Operator, second: Operator) -> None:
        self.project = project
        self.first, self.second = first, second

    def payload(self, name: str) -> dict[str, str]:
        return {"name": name, "folder": str(self.project.folder)}

    def open_gate(self) -> None:
        (self.project.folder / "go").touch()

    def start_first(self, policy: str) -> None:
        """The first operator runs the job, and it has come to where it waits."""
        self.first.send("execute", policy, self.payload("first"))
        wait_until((self.project.folder / "first.reached").exists, within_s=WITHIN_S)

    def rows(self) -> list[str]:
        return [row["idem_key"] for row in rows_in(self.project.data, "raw", "raw_objects")]

    def ops(self) -> int:
        with DataPlane(self.project.data) as data:
            return len(data.ops())

    def runs(self) -> list[RunRecord]:
        return self.project.runs()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    project = projects.make(tmp_path)
    (tmp_path / "callables" / "waiting.py").write_text(WAITING)
    for policy in POLICIES:
        definition = NOTES.format(job_id=policy, concurrency=policy)
        (tmp_path / "jobs" / "definitions" / f"{policy}.yaml").write_text(definition)
    with ExitStack() as stack:
        first, second = (stack.enter_context(Operator(tmp_path)) for _ in range(2))
        yield Office(project, first, second)


def statuses(answers: list[dict[str, Any]]) -> list[str]:
    return sorted(answer["status"] for answer in answers)


def test_two_processes_run_many_jobs_on_one_store(office: Office) -> None:
    office.open_gate()
    names = {operator: [f"{operator}-{number}" for number in range(12)] for operator in ("a", "b")}
    for operator, sender in (("a", office.first), ("b", office.second)):
        sender.send("execute_all", "allow", [office.payload(name) for name in names[operator]])

    answers = [*office.first.answer(), *office.second.answer()]

    assert statuses(answers) == ["completed"] * 24
    assert [answer["error"] for answer in answers] == [None] * 24
    every_name = [*names["a"], *names["b"]]
    assert office.rows() == sorted(f"{name}-{which}" for name in every_name for which in ("first", "last"))
    assert office.ops() == 48
    assert len(office.runs()) == 24
    assert office.project.private_files() == []


def test_runs_that_queue_follow_one_another(office: Office) -> None:
    office.first.send("execute_all", "queue", [office.payload(f"a-{number}") for number in range(4)])
    wait_until((office.project.folder / "a-0.reached").exists, within_s=WITHIN_S)
    office.second.send("execute_all", "queue", [office.payload(f"b-{number}") for number in range(4)])
    office.open_gate()

    assert statuses([*office.first.answer(), *office.second.answer()]) == ["completed"] * 8

    # Who waited for its turn began its first step only when the run before had ended.
    spans = sorted((run.step_outcomes[0].started_at, run.step_outcomes[-1].completed_at) for run in office.runs())
    assert all(ended < begun for (_, ended), (begun, _) in pairwise(spans) if ended and begun)


def test_a_queued_run_waits_for_one_in_another_process(office: Office) -> None:
    office.start_first("queue")
    office.second.send("execute", "queue", office.payload("second"))
    assert [run.status for run in office.runs()] == [RunStatus.RUNNING]
    assert not (office.project.folder / "second.reached").exists()

    office.open_gate()

    assert statuses([office.first.answer(), office.second.answer()]) == ["completed", "completed"]
    assert len(office.rows()) == 4


@pytest.mark.parametrize(("policy", "becomes"), [("skip", "skipped"), ("fail", "JobBusy")])
def test_a_job_that_runs_in_another_process_is_not_run_beside_it(office: Office, policy: str, becomes: str) -> None:
    office.start_first(policy)

    refused = office.second.ask("execute", policy, office.payload("second"))

    assert refused["status"] == becomes
    assert len(office.runs()) == 1
    office.open_gate()
    assert office.first.answer()["status"] == "completed"
    assert office.rows() == ["first-first", "first-last"]


def test_a_killed_process_is_in_nobodys_way(office: Office) -> None:
    office.start_first("fail")
    office.first.kill()
    office.open_gate()

    assert office.second.ask("execute", "fail", office.payload("second"))["status"] == "completed"
    assert [run.status for run in office.runs()] == [RunStatus.COMPLETED, RunStatus.INTERRUPTED]


@pytest.mark.parametrize("round_", range(3))
def test_of_two_who_resume_a_run_at_once_one_does(office: Office, round_: int) -> None:
    office.start_first("allow")
    office.first.kill()
    (run,) = office.runs()
    with Operator(office.project.folder) as third:
        for operator in (office.second, third):
            operator.send("resume", run.run_id)
        # One has the run, and is kept at it until the other has been refused.
        refused = first_to_answer([office.second, third], within_s=WITHIN_S)
        assert refused.answer()["status"] == "JobBusy"
        office.open_gate()
        (winner,) = {office.second, third} - {refused}
        assert winner.answer()["status"] == "completed"

    (run,) = office.runs()
    assert [attempt.status for attempt in run.attempts] == [RunStatus.INTERRUPTED, RunStatus.COMPLETED]
    assert office.rows() == ["first-first", "first-last"]
    assert office.ops() == 2
