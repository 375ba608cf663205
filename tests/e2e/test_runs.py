"""Looking at runs, going on with them, and deleting them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lorchestra.clock import SystemClock, new_run_id
from lorchestra.run_store import SqliteRunStore
from tests.e2e.cli import DEADLINE_S, Project
from tests.factories import job_def, run_record


def test_a_project_without_runs_says_so_and_stays_as_it_is(project: Project) -> None:
    assert project("runs", "list").require(0).out == "no runs\n"
    assert project("runs", "list", "--json").require(0).json == []
    assert "no run has the id '01'" in project.inside("runs", "show", "01").require(65).err
    assert "deleted 0 runs" in project.inside("runs", "prune", "--keep", "1d").require(0).out
    assert not project.has_store()


def test_runs_are_listed_newest_first_and_by_job_status_and_number(people: Project) -> None:
    for count in (1, -1, 101):
        people.inside("run", "people", "--payload", f"count={count}", "-q")
    table = people("runs", "list").require(0).out.splitlines()
    assert table[0].split("  ")[0] == "RUN"
    assert [line.split()[3] for line in table[1:]] == ["partial", "failed", "completed"]
    assert max(map(len, table)) <= 100
    assert all(line == line.rstrip() for line in table)
    failed = (
        people.inside("runs", "list", "--status", "failed", "--job", "people", "--limit", "1", "--json").require(0).json
    )
    assert [run["status"] for run in failed] == ["failed"]


def test_show_has_a_row_for_each_step(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=3")
    run = people.runs()[0]
    page = people("runs", "show", run.run_id.lower()).require(0).out
    head, table = (part.splitlines() for part in page.split("\n\n"))
    assert head[0].split() == ["run", run.run_id]
    assert head[1].split()[:3] == ["job", "people", "2.0"]
    assert table[0].split() == ["STEP", "OP", "STATUS", "STARTED", "TOOK", "TRIES", "COUNTS", "DIGEST"]
    assert [line.split()[:3] for line in table[1:]] == [
        ["fetch", "call", "completed"],
        ["persist", "plan.build", "completed"],
        ["write", "storacle.submit", "completed"],
    ]
    assert "record 3" in table[1]
    assert max(map(len, page.splitlines())) <= 100


def test_show_tells_every_error_with_its_causes_and_every_attempt(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=-1")
    run_id = people.runs()[0].run_id
    people("runs", "resume", run_id).require(2)
    page = people.inside("runs", "show", run_id[:20]).require(0).out
    assert "ATTEMPT  STATUS  STARTED (UTC)" in page
    for attempt in (1, 2):
        assert f"attempt {attempt}, fetch, error 1 of 1:\n  ValueError (message hmac:" in page
    assert "    at callables/people.py:11:people\n" in page
    assert "the run ended with:\n  lorchestra.errors.StepFailed: step 'fetch' failed after 1 try" in page
    assert "cannot make" not in page


def test_show_as_json_has_the_record_the_manifests_and_the_children(people: Project) -> None:
    people.job("above", "- {step_id: below, op: job.run, params: {job_id: people, payload: {count: 2}}}\n")
    people.inside("run", "above", "-q").require(0)
    child, parent = sorted(people.runs(), key=lambda run: run.parent_run_id is None)
    shown = people.inside("runs", "show", parent.run_id, "--json").require(0).json
    assert [manifest["step_id"] for manifest in shown["manifests"]] == ["below"]
    assert [below["run_id"] for below in shown["children"]] == [child.run_id]
    page = people.inside("runs", "show", parent.run_id).require(0).out
    assert f"{child.run_id}  below  people 2.0  completed" in page
    assert f"parent     {parent.run_id}, step below\n" in people.inside("runs", "show", child.run_id).out


def test_a_running_run_reads_running_as_long_as_its_process_lives(project: Project) -> None:
    store = SqliteRunStore(project.root / ".lorchestra", heartbeat_s=5, stale_after_s=30)
    definition = job_def()
    record = run_record(definition, started_at=SystemClock().now())
    store.open_run(record, definition, (), exclusive=True)
    listed = project("runs", "list").require(0).out
    shown = project("runs", "show", record.run_id).require(0).out
    store.close()
    assert listed.splitlines()[1].split()[3] == "running"
    assert "status     running" in shown


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("ZZZ", "no run has the id 'ZZZ'"),
        ("0", "the ids of several runs begin with '0'"),
        ("", "the ids of several runs begin with ''"),
        ("01*", "no run has the id '01*'"),
    ],
)
def test_an_id_has_to_name_one_run(project: Project, prefix: str, found: str) -> None:
    _record_two_runs(project.root / ".lorchestra")
    refused = project.inside("runs", "show", prefix).require(65)
    assert refused.err.startswith(f"error: {found}")
    assert "`lorchestra runs list` shows the known ones" in refused.err
    assert refused.out == ""


def test_a_finished_run_is_not_resumed(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=1").require(0)
    refused = people.inside("runs", "resume", people.runs()[0].run_id).require(2)
    assert "is completed: there is nothing to resume; start a new run of 'people' instead" in refused.err


def test_a_child_is_resumed_by_its_parent(people: Project) -> None:
    people.job("above", "- {step_id: below, op: job.run, params: {job_id: people, payload: {count: -2}}}\n")
    people.inside("run", "above").require(2)
    child, parent = sorted(people.runs(), key=lambda run: run.parent_run_id is None)
    refused = people.inside("runs", "resume", child.run_id).require(65)
    assert f"resume {parent.run_id}" in refused.err


def test_prune_deletes_what_a_dry_run_names(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=-1", "-q").require(2)
    ended = time.time()
    run_id = people.runs()[0].run_id
    # A second has to pass before a run is older than a second.
    while (left := ended + 1.1 - time.time()) > 0:
        time.sleep(min(left, 0.05))
    would = people("runs", "prune", "--keep", "1s", "--dry-run", "--json").require(0).json
    assert (would["run_ids"], would["dry_run"]) == ([run_id], True)
    assert len(people.runs()) == 1
    private = people.root / ".lorchestra" / "private" / run_id
    assert private.exists()
    done = people("runs", "prune", "--keep", "1s").require(0)
    assert done.out.startswith(f"{run_id}\ndeleted 1 run that ended before ")
    assert people.runs() == ()
    assert not private.exists()


def test_prune_keeps_what_is_young_or_what_the_settings_say(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=1").require(0)
    people.inside("runs", "prune", "--keep", "1d").require(0)
    people.settings("run_store: {keep: 1h}\n")
    assert "deleted 0 runs" in people.inside("runs", "prune").require(0).out
    assert len(people.runs()) == 1


def _record_two_runs(folder: Path) -> None:
    store = SqliteRunStore(folder, heartbeat_s=5, stale_after_s=DEADLINE_S)
    now = SystemClock().now()
    for job_id in ("one", "two"):
        definition = job_def(job_id)
        store.open_run(run_record(definition, run_id=new_run_id(now), started_at=now), definition, (), exclusive=True)
    store.close()


def test_a_run_is_resumed_with_the_folder_of_definitions_it_was_started_with(people: Project) -> None:
    people.write("elsewhere/people.yaml", (people.root / "jobs/definitions/people.yaml").read_bytes())
    (people.root / "jobs/definitions/people.yaml").unlink()
    people.inside("run", "people", "--payload", "count=-1", "--definitions-dir", "elsewhere").require(2)
    run_id = people.runs()[0].run_id

    people.inside("runs", "resume", run_id).require(65)
    people.inside("runs", "resume", run_id, "--definitions-dir", "elsewhere").require(2)

    assert people.runs()[0].status == "failed"


def test_a_run_whose_version_is_gone_goes_on_only_with_changes_accepted(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=-1").require(2)
    run_id = people.runs()[0].run_id
    path = people.root / "jobs/definitions/people.yaml"
    path.write_text(path.read_text().replace("'2.0'", "'2.1'"))

    refused = people.inside("runs", "resume", run_id).require(65)
    assert f"the version of 'people' has changed since run {run_id} was started" in refused.err
    assert "--accept-changes" in refused.err
    (people.root / "callables/people.py").write_text("def execute(params):\n    return {'items': []}\n")
    people.inside("runs", "resume", run_id, "--accept-changes").require(0)
