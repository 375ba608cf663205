"""Pipelines on the command line: what is listed, shown, printed on the way, and how it ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.data_plane import rows_in
from tests.e2e.cli import DEADLINE_S, Project, clean_environment
from tests.e2e.test_signals import Live

# It waits in the midst of its items until a file says that it may go on.
WORK = """
import time
from pathlib import Path
from lorchestra.errors import PermanentError
from lorchestra.items import Rejected

def execute(params, context):
    return {"items": items(params["name"], context.token)}

def items(name, token):
    if Path(f"{name}.broken").exists():
        raise PermanentError("out of order")
    yield {"idem_key": name}
    while Path(f"{name}.waits").exists():
        Path(f"{name}.reached").touch()
        token.check()
        time.sleep(0.005)
    if Path(f"{name}.rejects").exists():
        yield Rejected(idem_key=name, schema="s", pointer="/a", rule="r")
"""
STEPS = """
- {step_id: fetch, op: call, params: {callable: work, name: %s, connection: acct1}}
- step_id: plan
  op: plan.build
  params: {items: '@run.fetch.items', method: table.upsert, dataset: raw, table: work, key_columns: [idem_key]}
- {step_id: write, op: storacle.submit, params: {plan: '@run.plan.plan'}}
"""


@pytest.fixture
def day(project: Project) -> Project:
    """A pipeline `day` of the jobs one, two and three, of which the second is in a pipeline of its own."""
    for job_id in ("one", "two", "three"):
        project.job(job_id, STEPS % job_id)
    project.write("pipelines/part.yaml", "pipeline_id: part\nstages:\n- {name: inner, jobs: [two]}\n")
    project.write(
        "pipelines/day.yaml",
        "pipeline_id: day\ndescription: All of it.\nstages:\n"
        "- {name: first, jobs: [one]}\n- {name: second, jobs: [pipeline.part, three]}\n",
    )
    return project.callable("work", WORK)


def rows(project: Project) -> list[str]:
    return sorted(row["idem_key"] for row in rows_in(project.root / ".lorchestra" / "data.db", "raw", "work"))


def flag(project: Project, name: str) -> None:
    project.write(name, "")


def test_a_dry_run_lists_every_job_in_order_with_what_it_reads_and_writes(day: Project) -> None:
    listed = day.inside("exec", "pipeline", "day", "--dry-run", "--skip", "first").require(0).out.splitlines()
    assert [line.split() for line in listed] == [
        ["STAGE", "JOB", "READS", "WRITES"],
        ["-", "first", "one", "left", "out"],
        ["1", "second/inner", "two", "connection", "acct1", "raw.work", "(table.upsert)"],
        ["2", "second", "three", "connection", "acct1", "raw.work", "(table.upsert)"],
    ]
    told = day.inside("exec", "pipeline", "pipeline.day", "--dry-run", "--json").require(0).json
    assert [job["job_id"] for job in told] == ["one", "two", "three"]
    assert told[1]["path"] == ["part", "two"]
    assert not day.has_store()


def test_jobs_are_told_as_they_end_and_the_exit_code_follows_the_result(day: Project) -> None:
    flag(day, "two.rejects")
    partial = day.inside("-q", "exec", "pipeline", "day").require(1)
    assert [line.split()[:3] for line in partial.out.splitlines()[:3]] == [
        ["completed", "first", "one"],
        ["partial", "second/inner", "two"],
        ["completed", "second", "three"],
    ]
    assert partial.out.splitlines()[0].split()[3:5] == ["1", "row"]
    assert partial.out.splitlines()[3].startswith("partial: pipeline day in ")
    assert "3 jobs: 2 completed, 1 partial, run 01" in partial.out
    flag(day, "two.broken")
    failed = day.inside("-q", "exec", "pipeline", "day").require(2)
    assert "3 jobs: 1 completed, 1 failed, 1 not run" in failed.out
    assert "error: two: step 'fetch' failed after 1 try" in failed.err
    day.root.joinpath("two.broken").unlink()
    day.root.joinpath("two.rejects").unlink()
    run_id = day.runs()[-1].run_id
    assert "continue it with: lorchestra runs resume " in failed.err
    resumed = day.inside("-q", "runs", "resume", failed.err.split()[-1]).require(0)
    assert [line.split()[2] for line in resumed.out.splitlines()[:2]] == ["two", "three"]
    assert run_id


def test_the_result_is_printed_as_json_and_nothing_else(day: Project) -> None:
    told = day.inside("-q", "exec", "pipeline", "day", "--only", "two", "--json").require(0).json
    assert (told["pipeline_id"], told["total"], told["succeeded"]) == ("day", 1, 1)
    assert [job["status"] for job in told["jobs"]] == ["left_out", "completed", "left_out"]
    assert rows(day) == ["two"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("dya",), 65, "no pipeline is named 'dya'; known: "),
        (("one",), 65, "there is a job 'one': `lorchestra exec job one`"),
        (("day", "--only", "tow"), 65, "only: 'tow' is no job, stage or pipeline of 'day'"),
        (("day", "--from", "third", "--skip", "zero"), 65, "error: 2 mistakes\nfrom: 'third'"),
        (("day", "--from", ""), 64, "it is empty"),
        (("day", "--resume", "--dry-run"), 64, "a dry run starts nothing"),
        (("day", "--read-from", "prod"), 64, "it goes with --smoke-namespace"),
        (("day", "--accept-changes"), 64, "it goes with --resume"),
        (("day", "--smoke-namespace", "No!"), 65, "smoke_namespace"),
        ((), 64, "missing argument 'PIPELINE'"),
    ],
)
def test_a_wrong_command_is_refused_and_runs_nothing(
    day: Project, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert said in day.inside("exec", "pipeline", *arguments).require(code).err
    assert not day.has_store()


def test_who_runs_a_pipeline_as_a_job_is_told_how_to_run_it(day: Project) -> None:
    refused = day.inside("exec", "job", "day").require(65)
    assert "; there is a pipeline 'day': `lorchestra exec pipeline day`" in refused.err
    assert day.inside("-q", "exec", "job", "pipeline.day").require(0).out.startswith("completed: pipeline.day 2.0 in ")


def test_pipelines_are_listed_shown_and_checked(day: Project) -> None:
    day.write("pipelines/torn.yaml", "pipeline_id: torn\nstages:\n- {name: all, jobs: [oen]}\n")
    listed = {row.split()[0]: row for row in day.inside("pipelines", "list").require(0).out.splitlines()}
    assert listed["day"].split(None, 4) == ["day", "2", "3", "project", "All of it."]
    assert "broken: " in listed["torn"]
    assert "did you mean 'one'?" in listed["torn"]
    assert [
        one["built_in"] for one in day.inside("pipelines", "list", "--json").json if one["pipeline_id"] == "day"
    ] == [False]
    shown = day.inside("pipelines", "show", "day").require(0).out
    assert shown.startswith(f"pipeline_id: day\nfile: {day.root}/pipelines/day.yaml\nbuilt_in: false\n")
    assert [line.split() for line in shown.splitlines()[-3:]] == [
        ["1", "first", "one"],
        ["2", "second/inner", "part", "two"],
        ["3", "second", "three"],
    ]
    assert day.inside("pipelines", "show", "part", "--json").json["definition"]["stages"][0]["jobs"] == ["two"]
    refused = day.inside("jobs", "validate").require(65)
    assert refused.err.startswith(f"{day.root}/pipelines/torn.yaml:3:22: no job or pipeline is named 'oen'")
    assert "error: 1 mistake in 6 definitions" in refused.err
    assert (
        day.inside("jobs", "validate", "pipeline.day", "one").require(0).out == "2 definitions checked, no mistakes\n"
    )


def test_runs_of_a_pipeline_are_listed_once_and_those_below_it_when_asked(day: Project) -> None:
    day.inside("-q", "exec", "pipeline", "day").require(0)
    assert [run["job_id"] for run in day.inside("runs", "list", "--json").json] == ["pipeline.day"]
    below = [run["job_id"] for run in day.inside("runs", "list", "--all", "--json").json]
    assert below == ["three", "two", "pipeline.part", "one", "pipeline.day"]
    assert [run["job_id"] for run in day.inside("runs", "list", "--job", "two", "--json").json] == ["two"]
    page = day.inside("runs", "show", day.runs()[-1].run_id).require(0).out
    assert "part   job.run  completed" in page
    assert "pipeline.part 2.0  completed" in page


def test_a_pipeline_that_does_not_go_on_with_a_changed_job_says_so_and_not_what_was_wrong_before(day: Project) -> None:
    flag(day, "two.broken")
    assert "error: two: step 'fetch' failed" in day.inside("-q", "exec", "pipeline", "day").require(2).err

    day.callable("work", f"{WORK}# mended")
    refused = day.inside("-q", "exec", "pipeline", "day", "--resume").require(2)

    assert "error: two: the callable 'work' has changed since run " in refused.err
    assert "step 'fetch'" not in refused.err
    assert f"details: lorchestra runs show {day.runs()[0].run_id}" in refused.err


# As a process


@pytest.fixture
def waiting(day: Project) -> Iterator[Live]:
    """The pipeline at work, in the midst of its second job."""
    flag(day, "two.waits")
    with ExitStack() as stack:
        live = Live(day, "-q", "exec", "pipeline", "day")
        stack.callback(live.end)
        live.until((day.root / "two.reached").exists)
        yield live


def test_an_interrupted_pipeline_ends_with_130_and_goes_on_where_it_was(day: Project, waiting: Live) -> None:
    waiting.signal(signal.SIGINT)
    ended = waiting.finish().require(130)
    assert "cancelled: pipeline day in " in ended.out
    day.root.joinpath("two.waits").unlink()
    told = day.inside("-q", "exec", "pipeline", "day", "--resume").require(0).out
    assert [line.split()[2] for line in told.splitlines()[:2]] == ["two", "three"]
    assert rows(day) == ["one", "three", "two"]


def test_a_killed_pipeline_reads_interrupted_and_goes_on_where_it_was(day: Project, waiting: Live) -> None:
    waiting.signal(signal.SIGKILL)
    waiting.finish().require(-signal.SIGKILL)
    statuses = {run["job_id"]: run["status"] for run in day.inside("runs", "list", "--all", "--json").json}
    assert statuses == {
        "pipeline.day": "interrupted",
        "pipeline.part": "interrupted",
        "one": "completed",
        "two": "interrupted",
    }
    day.root.joinpath("two.waits").unlink()
    day.inside("-q", "exec", "pipeline", "day", "--resume").require(0)
    assert rows(day) == ["one", "three", "two"]
    assert len(day.runs()) == 5


def test_on_a_terminal_the_job_at_work_is_shown_below_those_that_ended(day: Project) -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "lorchestra", "exec", "pipeline", "day"],
        cwd=day.root,
        env=clean_environment(day.root, {"TERM": "xterm", "COLUMNS": "120"}),
        stdin=its,
        stdout=its,
        stderr=its,
    ) as process:
        os.close(its)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(DEADLINE_S) == 0
    os.close(ours)
    text = shown.decode()
    assert "completed    first         one           1 row  " in text
    assert "3/3" in text
    assert "completed: pipeline day in " in text
    # The log would move through the display: of a run that goes well it says nothing.
    assert "run.started" not in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # How a terminal ends when nobody holds its other side any more.
        return b""
