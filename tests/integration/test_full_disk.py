"""A disk that is full: the run says so and stops, no step writes data that is not recorded, and a resume goes on.

A limit on the size of files stands in for the full disk: beyond it, every write fails.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorchestra.schemas import RunStatus
from tests.data_plane import DataPlane, rows_in
from tests.e2e.cli import DEADLINE_S, Finished, Project, clean_environment
from tests.standins.storacle_http import HttpStoracle

FAILED = 2

SETTINGS = "storacle: {path: data/data.db}\n"

# The disk becomes full on the way: no file may grow beyond what one file has by then, and some room.
CALLABLES = {
    "rows": """
import os, resource

def execute(params):
    return {"items": rows(params["name"], params["count"], params["full_at"], params["room"])}

def rows(name, count, full_at, room):
    for number in range(count):
        yield {"idem_key": f"{name}:{number}", "payload": "x" * 1000}
        if full_at and number == 0 and not os.path.exists("space"):
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(full_at) + room, hard))
""",
}

CHAIN = """
- {{step_id: {name}, op: call, params: {{callable: rows, name: {name}, count: {count}, full_at: '{full_at}',
                                         room: {room}}}}}
- step_id: plan_{name}
  op: plan.build
  params: {{items: '@run.{name}.items', method: wal.append, dataset: raw, table: raw_objects, batch_size: {batch}}}
- {{step_id: write_{name}, op: storacle.submit, params: {{plan: '@run.plan_{name}.plan'}}}}
"""
SECOND_READER = """
- {step_id: plan_b, op: plan.build, params: {items: '@run.early.items', method: table.upsert, dataset: raw, table: rows,
                                             key_columns: [idem_key]}}
- {step_id: write_b, op: storacle.submit, params: {plan: '@run.plan_b.plan'}}
"""

STORE_FILE = ".lorchestra/runs.db-wal"
DATA = "data/data.db"


def chain(name: str, *, count: int = 2, batch: int = 1, full_at: str = "", room: int = 0) -> str:
    return CHAIN.format(name=name, count=count, batch=batch, full_at=full_at, room=room).lstrip("\n")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path).settings(SETTINGS)
    for name, code in CALLABLES.items():
        project.callable(name, code)
    return project


@pytest.fixture
def elsewhere(project: Project) -> Iterator[DataPlane]:
    """The project's data in another process, whose disk has space."""
    with DataPlane() as data, HttpStoracle(data) as server:
        project.settings(f"storacle: {{kind: http, url: '{server.url}'}}\n")
        yield data


def keys(rows: list[dict[str, Any]]) -> list[str]:
    return [row["idem_key"] for row in rows]


def rows(project: Project) -> list[str]:
    return keys(rows_in(project.root / DATA, "raw", "raw_objects"))


def make_space_and_resume(project: Project) -> Finished:
    (project.root / "space").touch()
    return project("runs", "resume", project.runs()[0].run_id)


def without_space(project: Project, *arguments: str) -> Finished:
    """The command on a disk on which no file can grow at all."""
    command = shlex.join([sys.executable, "-m", "lorchestra", *arguments])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 0 && exec {command}"],
        cwd=project.root,
        env=clean_environment(project.root, {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    return Finished(code=done.returncode, out=done.stdout, err=done.stderr)


def test_a_store_that_cannot_grow_ends_the_run_before_the_next_step_writes(
    project: Project, elsewhere: DataPlane
) -> None:
    project.job("day", chain("early", full_at=STORE_FILE) + chain("late"))

    full = project("exec", "job", "day").require(FAILED)

    assert "the run store cannot record" in full.err
    assert "the disk" in full.err
    assert not [key for key in keys(elsewhere.rows("raw", "raw_objects")) if key.startswith("late")]
    assert [run.status for run in project.runs()] == [RunStatus.INTERRUPTED]
    make_space_and_resume(project).require(0)
    assert keys(elsewhere.rows("raw", "raw_objects")) == ["early:0", "early:1", "late:0", "late:1"]
    assert len(elsewhere.ops()) == 4


def test_items_that_cannot_be_written_out_fail_the_run_before_their_readers_write(
    project: Project, elsewhere: DataPlane
) -> None:
    project.job("day", chain("early", count=400, batch=50, full_at=STORE_FILE, room=100_000) + SECOND_READER)

    full = project("exec", "job", "day").require(FAILED)

    assert "the run store cannot write" in full.err
    assert elsewhere.ops() == []
    assert [run.status for run in project.runs()] == [RunStatus.FAILED]
    make_space_and_resume(project).require(0)
    assert len(elsewhere.rows("raw", "raw_objects")) == len(elsewhere.rows("raw", "rows")) == 400
    assert len(elsewhere.ops()) == 9


def test_data_that_cannot_grow_refuse_the_op_and_the_run_can_be_resumed(project: Project) -> None:
    # The data are longer than the files of the run store, so that theirs is the log that is full.
    project.job("before", chain("before", count=300))
    project.job("day", chain("early", count=40, full_at=DATA) + chain("late"))
    project("exec", "job", "before").require(0)

    full = project("exec", "job", "day").require(FAILED)

    assert "storage is full" in full.err
    early = set(rows(project)[300:])
    assert 0 < len(early) < 40
    assert early == {f"early:{number}" for number in range(len(early))}
    assert [run.status for run in project.runs()] == [RunStatus.FAILED, RunStatus.COMPLETED]
    make_space_and_resume(project).require(0)
    assert rows(project)[300:] == [*sorted(f"early:{number}" for number in range(40)), "late:0", "late:1"]
    with DataPlane(project.root / DATA) as data:
        assert len(data.ops()) == 342


@pytest.mark.parametrize("is_used", [False, True], ids=["new project", "used project"])
def test_a_run_that_cannot_be_recorded_is_not_started(project: Project, is_used: bool) -> None:
    project.job("day", chain("early"))
    if is_used:
        project("exec", "job", "day").require(0)
    data = (project.root / DATA).read_bytes() if is_used else None

    full = without_space(project, "exec", "job", "day", "--payload", "name=x")

    assert full.code == FAILED
    assert "the run store cannot" in full.err
    assert "Traceback" not in full.err
    if is_used:
        assert (project.root / DATA).read_bytes() == data
    else:
        assert rows(project) == []
    assert len(project.runs()) == is_used
    assert not list((project.root / ".lorchestra").rglob("private/*"))
    project("exec", "job", "day").require(0)
    assert rows(project) == ["early:0", "early:1"]


@pytest.mark.parametrize(
    ("path", "said"),
    [("taken", "a file stands where a folder is expected"), ("/proc/lorchestra", "the run store cannot")],
    ids=["a file", "a place that takes no files"],
)
def test_a_run_folder_that_cannot_be_one_is_named(project: Project, path: str, said: str) -> None:
    project.job("day", chain("early")).write("taken", "a note").settings(f"{SETTINGS}run_store: {{path: {path}}}\n")

    refused = project("exec", "job", "day").require(FAILED)

    assert said in refused.err
    assert path in refused.err
    assert rows(project) == []
    assert (project.root / "taken").read_text() == "a note"
