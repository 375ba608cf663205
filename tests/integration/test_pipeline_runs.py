"""Pipelines that run: in order, recorded with the runs below them, stopped by failures or not, and resumed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import lorchestra
from lorchestra import api, pipeline
from lorchestra.clock import child_run_id
from lorchestra.errors import (
    ChangedSince,
    CompileError,
    DefinitionError,
    EnvelopeError,
    JobValidationError,
    PipelineNotFound,
)
from lorchestra.pipelines.result import PipelineResult
from lorchestra.run_store import RunFilter, SqliteRunStore
from lorchestra.schemas import PipelineDef, RunRecord
from lorchestra.supervision.cancellation import Cancellation
from tests.data_plane import rows_in
from tests.factories import job_def, run_record

# A job is out of order while a file of its name with `.broken` is there; one may leave a record aside, one asks to
# stop.
WORK = """
from pathlib import Path
from lorchestra.errors import PermanentError
from lorchestra.items import Rejected

def execute(params):
    return {"items": items(params["name"], params.get("day", "none"), params.get("rejects", False))}

def items(name, day, rejects):
    if Path(f"{name}.broken").exists():
        raise PermanentError("out of order")
    yield {"idem_key": name, "payload": {"day": day}}
    if rejects:
        yield Rejected(idem_key=f"{name}:2", schema="s", pointer="/a", rule="r")
"""
STEPS = """
- {step_id: fetch, op: call, params: {callable: work, %s}}
- step_id: plan
  op: plan.build
  params: {items: '@run.fetch.items', method: table.upsert, dataset: raw, table: work, key_columns: [idem_key]}
- {step_id: write, op: storacle.submit, params: {plan: '@run.plan.plan'}}
"""


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("callables/work.py", WORK)
        self.write("lorchestra.yaml", "# the defaults\n")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def job(self, job_id: str, more: str = "") -> None:
        params = f"name: {job_id}" + (f", {more}" if more else "")
        self.write(f"jobs/definitions/{job_id}.yaml", f"job_id: {job_id}\nversion: '2.0'\nsteps:{STEPS % params}")

    def jobs(self, *job_ids: str) -> None:
        for job_id in job_ids:
            self.job(job_id)

    def pipeline(self, name: str, *jobs: str, **more: Any) -> None:
        stages = "".join(f"- {{name: stage_{number}, jobs: [{one}]}}\n" for number, one in enumerate(jobs, start=1))
        head = "".join(f"{key}: {str(value).lower()}\n" for key, value in more.items())
        self.write(f"pipelines/{name}.yaml", f"pipeline_id: {name}\n{head}stages:\n{stages}")

    def break_(self, job_id: str) -> None:
        (self.root / f"{job_id}.broken").touch()

    def mend(self, job_id: str) -> None:
        (self.root / f"{job_id}.broken").unlink()

    def rows(self, namespace: str = "prod") -> list[str]:
        data = self.root / ".lorchestra" / "data.db"
        return sorted(row["idem_key"] for row in rows_in(data, "raw", "work", namespace=namespace))

    @property
    def store(self) -> SqliteRunStore:
        return SqliteRunStore(self.root / ".lorchestra")

    def runs(self, **query: Any) -> list[RunRecord]:
        """The oldest first."""
        store = self.store
        try:
            return [store.get(run.run_id) for run in reversed(store.list_runs(RunFilter(limit=100, **query)))]
        finally:
            store.close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.jobs("one", "two", "three")
    return project


def statuses(result: PipelineResult) -> dict[str, str]:
    return {job.job_id: job.status for job in result.jobs}


# Order and record


def test_the_jobs_run_in_order_each_in_a_run_of_its_own_below_that_of_the_pipeline(project: Project) -> None:
    project.pipeline("part", "two")
    project.pipeline("day", "three", "part, one")
    result = lorchestra.run_pipeline("day")
    assert (result.pipeline_id, result.status, result.success, result.stopped_early) == (
        "day",
        "completed",
        True,
        False,
    )
    assert (result.total, result.succeeded, result.failed, result.failures) == (3, 3, 0, ())
    assert project.rows() == ["one", "three", "two"]

    runs = {run.job_id: run for run in project.runs()}
    day, part = runs["pipeline.day"], runs["pipeline.part"]
    assert (day.run_id, day.parent_run_id) == (result.run_id, None)
    assert (part.parent_run_id, part.run_id) == (day.run_id, child_run_id(day.run_id, "part"))
    assert (runs["two"].parent_run_id, runs["two"].run_id) == (part.run_id, child_run_id(part.run_id, "two"))
    assert [job.run_id for job in result.jobs] == [runs[job_id].run_id for job_id in ("three", "two", "one")]
    ends = [(runs[job_id].started_at, runs[job_id].completed_at) for job_id in ("three", "two", "one")]
    assert all(before[1] <= after[0] for before, after in pairwise(ends) if before[1])
    assert [outcome.counts for outcome in day.step_outcomes] == [{"record": 1}] * 3
    # Two runs beside each other are told apart by who started them.
    assert [run.job_id for run in project.runs(outermost=True)] == ["pipeline.day"]


def test_the_result_of_a_pipeline_can_be_written_as_json(project: Project) -> None:
    project.pipeline("day", "one, two")
    project.break_("two")
    told = lorchestra.run_pipeline("day").to_dict()
    assert {
        name: told[name] for name in ("pipeline_id", "success", "total", "succeeded", "failed", "stopped_early")
    } == {
        "pipeline_id": "day",
        "success": False,
        "total": 2,
        "succeeded": 1,
        "failed": 1,
        "stopped_early": False,
    }
    assert told["failures"][0]["job_id"] == "two"
    assert told["failures"][0]["error"].startswith("step 'fetch' failed after 1 try")
    assert told["duration_ms"] > 0
    assert [job["counts"].get("record") for job in told["jobs"]] == [1, None]


def test_each_job_is_given_what_the_pipeline_was_given(project: Project) -> None:
    project.job("one", "day: '@payload.day'")
    project.job("two", "day: '@ctx.day'")
    project.pipeline("part", "two")
    project.pipeline("day", "one, part")
    assert lorchestra.run_pipeline("day", payload={"day": "monday"}, ctx={"day": "@friday"}).success
    rows = rows_in(project.root / ".lorchestra" / "data.db", "raw", "work")
    assert [row["payload"] for row in rows] == [{"day": "monday"}, {"day": "@friday"}]
    with pytest.raises(CompileError, match=r"one\.yaml:4:71: '@payload\.day' does not exist"):
        lorchestra.run_pipeline("day", ctx={"day": "x"})
    assert len(project.runs(outermost=True)) == 1


def test_a_smoke_run_of_a_pipeline_writes_in_its_namespace_alone(project: Project) -> None:
    project.pipeline("part", "two")
    project.pipeline("day", "one, part")
    assert lorchestra.run_pipeline("day", "trial").success
    assert project.rows("smoke_trial") == ["one", "two"]
    assert project.rows() == []
    assert {run.namespace for run in project.runs()} == {"smoke_trial"}


# Failures


@pytest.mark.parametrize("stops", [True, False])
def test_a_job_that_fails_stops_those_after_it_unless_the_pipeline_says_otherwise(
    project: Project, stops: bool
) -> None:
    project.pipeline("day", "one", "two, three", stop_on_failure=stops)
    project.break_("two")
    result = lorchestra.run_pipeline("day")
    assert statuses(result) == {"one": "completed", "two": "failed", "three": "not_run" if stops else "completed"}
    assert (result.status, result.stopped_early) == (("failed", True) if stops else ("partial", False))
    assert (result.total, result.succeeded, result.failed) == (3, 1 if stops else 2, 1)
    assert [failure["job_id"] for failure in result.failures] == ["two"]
    assert project.rows() == (["one"] if stops else ["one", "three"])


def test_a_pipeline_is_as_bad_as_its_parts_as_far_as_these_let_it_show(project: Project) -> None:
    project.pipeline("lenient", "one, two", stop_on_failure=False)
    project.pipeline("day", "lenient, three")
    project.break_("two")
    result = lorchestra.run_pipeline("day")
    assert (result.status, statuses(result)["three"]) == ("partial", "completed")
    project.pipeline("lenient", "one, two")
    result = lorchestra.run_pipeline("day")
    assert (result.status, statuses(result)["three"]) == ("failed", "not_run")
    assert [failure["job_id"] for failure in result.failures] == ["two"]


def test_a_job_that_left_records_aside_stops_nothing_and_shows(project: Project) -> None:
    project.job("one", "rejects: true")
    project.pipeline("part", "one")
    project.pipeline("day", "part, two")
    result = lorchestra.run_pipeline("day")
    assert statuses(result) == {"one": "partial", "two": "completed"}
    assert (result.status, result.success, result.succeeded, result.failed) == ("partial", False, 2, 0)
    assert result.jobs[0].counts["rejected"] == 1


@pytest.mark.parametrize(("concurrency", "status"), [("skip", "skipped"), ("fail", "failed")])
def test_a_job_that_is_at_work_elsewhere_is_treated_as_it_says(project: Project, concurrency: str, status: str) -> None:
    path = project.root / "jobs" / "definitions" / "two.yaml"
    path.write_text(path.read_text() + f"concurrency: {concurrency}\n")
    project.pipeline("day", "one, two")
    store = project.store
    store.open_run(run_record(job_def("two")), job_def("two"), (), exclusive=True)
    result = lorchestra.run_pipeline("day", store=store)
    store.close()
    assert statuses(result) == {"one": "completed", "two": status}
    assert result.jobs[1].run_id is None
    assert result.success == (concurrency == "skip")
    assert [failure["error"] is not None and "already running" in failure["error"] for failure in result.failures] == (
        [] if concurrency == "skip" else [True]
    )


def test_what_can_be_seen_before_keeps_the_whole_from_starting(project: Project) -> None:
    """A misspelt callable in the last job is no reason to find out at night, when the others are done."""
    project.write("jobs/definitions/two.yaml", "job_id: two\nversion: '2.0'\nsteps: []\n")
    project.write(
        "jobs/definitions/three.yaml",
        "job_id: three\nversion: '2.0'\nsteps:\n- {step_id: a, op: call, params: {callable: wrok}}\n",
    )
    project.pipeline("part", "three")
    project.pipeline("day", "one, two, part")
    with pytest.raises(DefinitionError) as refused:
        lorchestra.run_pipeline("day")
    told = [str(problem) for problem in refused.value.problems]
    assert len(told) == 2
    assert "two.yaml:3:8" in told[0]
    assert "three.yaml:4:45" in told[1]
    assert "did you mean 'work'?" in told[1]
    assert not (project.root / ".lorchestra").exists()


def test_a_pipeline_with_mistakes_leaves_no_trace(project: Project) -> None:
    project.pipeline("day", "day")
    with pytest.raises(JobValidationError, match="the pipeline 'day' runs itself: day -> day"):
        lorchestra.run_pipeline("day")
    with pytest.raises(PipelineNotFound):
        lorchestra.run_pipeline("night")
    assert not (project.root / ".lorchestra").exists()


def test_a_job_that_runs_the_pipeline_it_stands_in_is_refused(project: Project) -> None:
    project.write(
        "jobs/definitions/two.yaml",
        "job_id: two\nversion: '2.0'\nsteps:\n- {step_id: a, op: job.run, params: {job_id: pipeline.day}}\n",
    )
    project.pipeline("day", "one, two")
    with pytest.raises(DefinitionError, match=r"runs itself: pipeline\.day -> two -> pipeline\.day"):
        lorchestra.run_pipeline("day")
    assert project.runs() == []


# Going on


def test_a_failed_pipeline_goes_on_where_it_stopped(project: Project) -> None:
    project.pipeline("part", "two")
    project.pipeline("day", "one, part, three")
    project.break_("two")
    failed = lorchestra.run_pipeline("day")
    project.mend("two")
    result = lorchestra.run_pipeline("day", resume=True)
    assert (result.run_id, result.status, result.succeeded) == (failed.run_id, "completed", 3)
    attempts = {run.job_id: len(run.attempts) for run in project.runs()}
    assert attempts == {"pipeline.day": 2, "one": 1, "pipeline.part": 2, "two": 2, "three": 1}
    assert project.rows() == ["one", "three", "two"]
    # What is done is done: the next is a new run.
    assert lorchestra.run_pipeline("day", resume=True).run_id != failed.run_id


def test_a_run_of_a_pipeline_is_resumed_by_its_id_and_a_part_of_it_by_the_whole(project: Project) -> None:
    project.pipeline("part", "two")
    project.pipeline("day", "part")
    project.break_("two")
    failed = lorchestra.run_pipeline("day")
    assert failed.run_id is not None
    two, part = failed.jobs[0].run_id, project.runs(job_id="pipeline.part")[0].run_id
    for below in (part, two):
        assert below is not None
        with pytest.raises(DefinitionError, match=f"resume {failed.run_id}"):
            api.resume(below)
    project.mend("two")
    assert api.resume(failed.run_id).status == "completed"


def test_a_pipeline_that_has_changed_is_not_resumed_unless_that_is_accepted(project: Project) -> None:
    project.pipeline("day", "one, two")
    project.break_("two")
    failed = lorchestra.run_pipeline("day")
    assert failed.run_id is not None
    project.mend("two")
    project.pipeline("day", "one, two, three")
    with pytest.raises(ChangedSince, match=r"the definition of 'pipeline\.day' has changed"):
        pipeline.resume_pipeline(failed.run_id)
    result = pipeline.resume_pipeline(failed.run_id, accept_changes=True)
    assert statuses(result) == {"one": "completed", "two": "completed", "three": "completed"}
    assert project.runs(job_id="one")[0].attempts[0].attempt_n == 1


def test_only_runs_of_pipelines_are_resumed_as_such(project: Project) -> None:
    project.break_("one")
    run_id = api.execute({"job_id": "one"}).run_id
    assert run_id is not None
    with pytest.raises(DefinitionError, match="expected a run of a pipeline"):
        pipeline.resume_pipeline(run_id)


def test_a_cancelled_pipeline_reads_cancelled_and_goes_on(project: Project) -> None:
    project.pipeline("part", "one, two")
    project.pipeline("day", "part, three")
    cancellation = Cancellation()
    cancellation.request("SIGINT")
    stopped = lorchestra.run_pipeline("day", cancellation=cancellation)
    assert stopped.status == "cancelled"
    assert stopped.stopped_early
    assert lorchestra.run_pipeline("day", resume=True).succeeded == 3


# Selections


def test_what_is_left_out_is_recorded_as_skipped_and_stays_left_out_when_resumed(project: Project) -> None:
    project.jobs("four")
    project.pipeline("part", "two, three")
    project.pipeline("day", "one, part, four")
    project.break_("four")
    failed = lorchestra.run_pipeline("day", skip=["one", "two"])
    assert statuses(failed) == {"one": "left_out", "two": "left_out", "three": "completed", "four": "failed"}
    assert (failed.total, failed.succeeded, failed.failed) == (2, 1, 1)
    project.mend("four")
    with pytest.raises(EnvelopeError, match="a run is resumed with what it was started with"):
        lorchestra.run_pipeline("day", only=["four"], resume=True)
    result = lorchestra.run_pipeline("day", resume=True)
    assert statuses(result) == {"one": "left_out", "two": "left_out", "three": "completed", "four": "completed"}
    assert project.rows() == ["four", "three"]
    (day,) = project.runs(job_id="pipeline.day")
    assert {o.step_id: o.status.value for o in day.step_outcomes} == {
        "one": "skipped",
        "part": "completed",
        "four": "completed",
    }
    assert day.envelope.leave_out == ("one", "part.two")
    (part,) = project.runs(job_id="pipeline.part")
    assert part.envelope.leave_out == ("two",)


def test_steps_of_any_job_may_be_left_out(project: Project) -> None:
    assert api.execute({"job_id": "one", "leave_out": ["plan", "write"]}).success
    assert project.rows() == []
    with pytest.raises(CompileError, match="names step 'fetch', which its `if` skips"):
        api.execute({"job_id": "one", "leave_out": ["fetch"]})
    with pytest.raises(EnvelopeError, match=r"did you mean 'write'\?"):
        api.execute({"job_id": "one", "leave_out": ["wrte"]})


# Other ways to say which


def test_a_pipeline_may_be_given_as_a_path_a_definition_or_a_mapping(project: Project) -> None:
    project.pipeline("day", "one")
    path = project.root / "pipelines" / "day.yaml"
    for spec in ("pipeline.day", path, str(path), lorchestra.load_pipeline("day")):
        assert lorchestra.run_pipeline(spec).pipeline_id == "day"
    value = {"pipeline_id": "trial", "stages": [{"name": "all", "jobs": ["day", "two"]}]}
    result = lorchestra.run_pipeline(value)
    assert statuses(result) == {"one": "completed", "two": "completed"}
    loaded = lorchestra.load_pipeline(value)
    assert isinstance(loaded, PipelineDef)
    assert loaded.stages[0].jobs == ("day", "two")
    with pytest.raises(JobValidationError, match=r"/stages/0/jobs/1: no job or pipeline is named 'tow'"):
        lorchestra.run_pipeline({**value, "stages": [{"name": "all", "jobs": ["day", "tow"]}]})


def test_a_plan_tells_every_job_and_what_it_reads_and_writes(project: Project) -> None:
    project.pipeline("part", "two")
    project.pipeline("day", "one, part, three")
    planned = pipeline.plan_pipeline("day", skip=["one"])
    assert [(job.job_id, job.is_left_out, job.writes) for job in planned] == [
        ("one", True, ()),
        ("two", False, ("raw.work (table.upsert)",)),
        ("three", False, ("raw.work (table.upsert)",)),
    ]
    assert not (project.root / ".lorchestra").exists()
