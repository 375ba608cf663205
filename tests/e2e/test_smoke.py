"""`lorchestra smoke`: a trial run leaves production alone, and goes away without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data_plane import rows_in
from tests.e2e.cli import DEADLINE_S, Project, clean_environment

SETTINGS = "storacle: {roots: {files: vault}}\n"
STEPS = """
- step_id: rows
  op: plan.build
  params:
    method: table.upsert
    dataset: lab
    table: people
    key_columns: [idem_key]
    items: [{idem_key: p1, name: Ada}]
- step_id: stored
  op: storacle.submit
  params: {plan: '@run.rows.plan'}
- step_id: note
  op: plan.build
  params:
    method: file.write
    items: [{path: notes/today.md, content: 'One person.'}]
- step_id: noted
  op: storacle.submit
  params: {plan: '@run.note.plan'}
- step_id: copy
  op: plan.build
  params:
    method: sqlite.sync
    items:
    - path: copy.db
      table: people
      key_columns: [idem_key]
      columns: [{name: idem_key, type: STRING}, {name: name, type: STRING}]
      source: {dataset: lab, table: people}
- step_id: copied
  op: storacle.submit
  params: {plan: '@run.copy.plan'}
"""
MADE = [
    {"kind": "table", "name": "events.event_log"},
    {"kind": "table", "name": "lab.people"},
    {"kind": "file", "name": "files/_smoke/trial/notes/today.md"},
    {"kind": "sqlite", "name": "files/_smoke/trial/copy.db#people"},
]


@pytest.fixture
def tried(project: Project) -> Project:
    """A project whose job ran once for production and once as a trial."""
    project.settings(SETTINGS).job("report", STEPS)
    project.inside("run", "report").require(0)
    project.inside("run", "report", "--smoke-namespace", "trial").require(0)
    return project


def files(project: Project) -> list[str]:
    vault = project.root / "vault"
    return sorted(str(path.relative_to(vault)) for path in vault.rglob("*") if path.is_file())


PRODUCTION = ["copy.db", "notes/today.md"]


def data(project: Project) -> Path:
    return project.root / ".lorchestra/data.db"


def test_what_a_trial_made_is_listed(tried: Project) -> None:
    listed = tried("smoke", "list", "trial").require(0)
    assert [line.split() for line in listed.out.splitlines()[1:]] == [[one["kind"], one["name"]] for one in MADE]
    assert tried.inside("smoke", "list", "trial", "--json").require(0).json == MADE


def test_what_a_trial_made_is_removed_and_production_stays(tried: Project) -> None:
    done = tried("smoke", "clean", "trial", "--yes").require(0)
    assert done.out.splitlines()[-1] == "removed 4 objects"
    assert files(tried) == PRODUCTION
    assert rows_in(data(tried), "lab", "people", namespace="smoke_trial") == []
    assert rows_in(data(tried), "lab", "people") == [{"idem_key": "p1", "name": "Ada"}]
    assert "has made nothing" in tried.inside("smoke", "list", "trial").require(0).out
    again = tried.inside("smoke", "clean", "trial", "--yes").require(0)
    assert "has made nothing" in again.out


def test_a_dry_run_removes_nothing(tried: Project) -> None:
    before = files(tried)
    done = tried.inside("smoke", "clean", "trial", "--dry-run").require(0)
    assert done.out.splitlines()[-1] == "would remove 4 objects"
    told = tried.inside("smoke", "clean", "trial", "--dry-run", "--json").require(0).json
    assert told == {"namespace": "smoke_trial", "dry_run": True, "objects": MADE, "removed": 0}
    assert files(tried) == before


def test_the_answer_for_machines_says_what_was_removed(tried: Project) -> None:
    told = tried.inside("smoke", "clean", "trial", "--yes", "--json").require(0).json
    assert told == {"namespace": "smoke_trial", "dry_run": False, "objects": MADE, "removed": 4}
    assert files(tried) == PRODUCTION


def test_without_a_terminal_nothing_is_removed_unasked(tried: Project) -> None:
    before = files(tried)
    done = tried("smoke", "clean", "trial", stdin=b"y\n").require(64)
    assert "--yes" in done.err
    assert files(tried) == before


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, 2), (b"n\n", 130, 4)])
def test_on_a_terminal_it_asks_first(tried: Project, answer: bytes, code: int, left: int) -> None:
    ours, theirs = os.openpty()
    os.write(ours, answer)
    done = subprocess.run(
        [sys.executable, "-m", "lorchestra", "smoke", "clean", "trial"],
        cwd=tried.root,
        env=clean_environment(tried.root, {}),
        stdin=theirs,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, b"remove 4 objects?" in done.stderr) == (code, True)
    assert len(files(tried)) == left


@pytest.mark.parametrize("command", ["list", "clean"])
def test_what_is_no_smoke_namespace_is_refused(tried: Project, command: str) -> None:
    before = files(tried)
    for name in ("prod", "smoke_trial", "A", "a-b", "", "../x", "x" * 21):
        done = tried.inside("smoke", command, name).require(64)
        assert not done.out, name
        assert files(tried) == before, name


def test_what_lies_below_a_root_that_is_no_longer_named_is_told_and_stays_listed(tried: Project) -> None:
    tried.settings("# no roots\n")
    done = tried.inside("smoke", "clean", "trial", "--yes").require(2)
    assert "forbidden, at /root" in done.err
    assert tried.inside("smoke", "list", "trial", "--json").json == MADE
