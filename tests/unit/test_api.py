"""The border: `execute(envelope)` and its kin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import lorchestra
from lorchestra import api
from lorchestra.errors import CompileError, ConfigurationError, EnvelopeError, JobNotFoundError, StoreError
from lorchestra.handlers import HandlerRegistry, StepAnswer, StepRequest
from lorchestra.registry import JobRegistry
from lorchestra.reporting.observer import RecordingObserver
from lorchestra.run_store import InMemoryRunStore, RunFilter, SqliteRunStore
from lorchestra.schemas import Backend, JobDef, JobStepInstance, RunRecord
from tests.jobs import call, job, run_job, write

FETCH = """
def execute(params):
    rows = [{"idem_key": f"visit:{n}", "day": params["day"]} for n in range(params.get("count", 2))]
    return {"items": rows, "stats": {"seen": len(rows)}}
"""
BROKEN = """
def execute(params):
    raise RuntimeError("out of order")
"""
USUAL = job(call("fetch", params={"day": "@payload.day"}), *write("fetch"))


class Canary:
    """A handler that must not be recorded."""

    def __init__(self) -> None:
        self.asked = 0

    def __repr__(self) -> str:
        return "canary-handler"

    def check(self, step: JobStepInstance, lineage: tuple[str, ...] = ()) -> None:
        pass

    def execute(self, request: StepRequest) -> StepAnswer:
        self.asked += 1
        return StepAnswer(output={})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project with one callable and one job."""
    for name in ("jobs/definitions", "callables"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lorchestra.yaml").touch()
    (tmp_path / "callables" / "fetch.py").write_text(FETCH)
    monkeypatch.chdir(tmp_path)
    define(tmp_path, USUAL)
    return tmp_path


def define(project: Path, *jobs: JobDef, folder: str = "jobs/definitions") -> None:
    (project / folder).mkdir(exist_ok=True, parents=True)
    for one in jobs:
        (project / folder / f"{one.job_id}.yaml").write_text(yaml.safe_dump(one.canonical()))


def request(**more: Any) -> dict[str, Any]:
    return {"job_id": "tidy", "payload": {"day": "monday"}, **more}


def recorded(project: Path) -> list[RunRecord]:
    store = SqliteRunStore(project / ".lorchestra")
    records = [store.get(record.run_id) for record in store.list_runs(RunFilter())]
    store.close()
    return records


# The envelope


def test_the_public_functions_are_those_of_the_package() -> None:
    assert lorchestra.execute is api.execute
    assert lorchestra.compile is api.compile


@pytest.mark.parametrize(
    ("key", "hint"),
    [("jobid", "job_id"), ("paylod", "payload"), ("xyz", None), ("handler", "handlers"), ("dryrun", "dry_run")],
)
def test_an_unknown_key_is_refused_and_the_nearest_known_one_named(key: str, hint: str | None) -> None:
    with pytest.raises(EnvelopeError) as refused:
        api.read_envelope({"job_id": "tidy", key: "canary"})
    assert f"unknown envelope key '{key}'" in str(refused.value)
    assert ("did you mean" in str(refused.value)) == (hint is not None)
    if hint:
        assert f"did you mean '{hint}'?" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_all_mistakes_of_an_envelope_are_told_at_once_and_without_its_values() -> None:
    envelope = {"paylod": {}, "ctx": ["canary"], "smoke_namespace": "Canary!", "version": 2.0}
    with pytest.raises(EnvelopeError) as refused:
        api.read_envelope(envelope)
    text = str(refused.value).lower()
    for name in ("paylod", "'job_id'", "'ctx'", "'smoke_namespace'", "'version'"):
        assert name in text
    assert "canary" not in text


def test_an_envelope_may_leave_all_but_the_job_to_the_defaults() -> None:
    read, given = api.read_envelope({"job_id": "tidy"})
    assert (read.payload, read.ctx, read.version, read.dry_run, read.namespace) == ({}, {}, None, False, "prod")
    assert (given.store, given.registry, given.handlers) == (None, None, None)


def test_a_smoke_namespace_is_short_and_plain() -> None:
    assert api.read_envelope({"job_id": "tidy", "smoke_namespace": "trial7"})[0].namespace == "smoke_trial7"
    for name in ("", "x" * 21, "a-b", "A", "smoke/x"):
        with pytest.raises(EnvelopeError, match="smoke_namespace"):
            api.read_envelope({"job_id": "tidy", "smoke_namespace": name})


def test_a_wrong_envelope_leaves_no_trace(project: Path) -> None:
    with pytest.raises(EnvelopeError):
        api.execute(request(paylod={}))
    assert not (project / ".lorchestra").exists()


# Execute


def test_one_execute_leaves_the_definition_the_manifests_and_the_record_in_the_store(project: Path) -> None:
    store = InMemoryRunStore()

    result = api.execute(request(store=store))

    assert result.success
    assert result.run_id is not None
    record = store.get(result.run_id)
    assert record == result.run_record
    assert store.definition(record.job_def_sha256) == USUAL.canonical()
    assert [manifest.step_id for manifest in store.manifests(record.run_id)] == ["fetch", "fetch_plan", "fetch_write"]
    assert [outcome.status.value for outcome in record.step_outcomes] == ["completed"] * 3


def test_a_run_is_recorded_in_the_project_and_its_store_is_left_closed(project: Path) -> None:
    result = api.execute(request())
    assert [record.run_id for record in recorded(project)] == [result.run_id]
    assert sorted(path.name for path in (project / ".lorchestra" / "alive").iterdir()) == []


def test_live_objects_are_used_and_never_recorded(project: Path) -> None:
    store, handler = InMemoryRunStore(), Canary()
    elsewhere = job({"step_id": "ask", "op": "compute.llm", "params": {"prompt": "x"}}, job_id="elsewhere")
    define(project, elsewhere, folder="more")

    result = api.execute(
        {
            "job_id": "elsewhere",
            "registry": JobRegistry(project / "more"),
            "store": store,
            "handlers": HandlerRegistry({Backend.INFEROMETER: handler}),
        }
    )

    assert (result.success, handler.asked) == (True, 1)
    assert result.run_id is not None
    kept = str([store.get(result.run_id), store.manifests(result.run_id), result.to_dict()])
    for name in ("canary-handler", "JobRegistry", "InMemoryRunStore", "HandlerRegistry"):
        assert name not in kept
    # Theirs to close: it still works.
    assert len(store.list_runs(RunFilter())) == 1
    assert not (project / ".lorchestra" / "runs.db").exists()


def test_another_folder_of_definitions_may_be_named(project: Path) -> None:
    define(project, job(call("fetch", params={"day": "any"}), job_id="elsewhere"), folder="more")
    assert api.execute({"job_id": "elsewhere", "definitions_dir": "more"}).success
    with pytest.raises(JobNotFoundError):
        api.execute({"job_id": "elsewhere"})


def test_a_result_can_be_written_as_json(project: Path) -> None:
    told = json.loads(json.dumps(api.execute(request()).to_dict()))
    assert (told["success"], told["status"], told["failed_steps"], told["error"]) == (True, "completed", [], None)
    assert told["run_record"]["envelope"]["payload_digest"].startswith("hmac:")
    assert "monday" not in str(told)


def test_who_watches_is_told(project: Path) -> None:
    observer = RecordingObserver()
    api.execute(request(), observer=observer)
    assert [event for event, _ in observer.events][0::7] == ["run.started", "run.ended"]


def test_a_failed_run_is_a_result(project: Path) -> None:
    (project / "callables" / "fetch.py").write_text(BROKEN)
    result = api.execute(request())
    assert (result.success, result.status, result.failed_steps) == (False, "failed", ("fetch",))
    assert result.to_dict()["failed_steps"] == ["fetch"]


@pytest.mark.parametrize(
    ("envelope", "error", "text"),
    [
        ({"job_id": "tdy"}, JobNotFoundError, "did you mean 'tidy'"),
        ({"job_id": "tidy", "version": "2.9"}, JobNotFoundError, "known: 2.0"),
        ({"job_id": "tidy"}, CompileError, "@payload.day"),
        ({"job_id": "tidy", "payload": {"day": "x"}, "definitions_dir": "nowhere"}, Exception, "nowhere"),
    ],
)
def test_what_keeps_a_run_from_starting_is_an_exception_and_leaves_no_trace(
    project: Path, envelope: Mapping[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        api.execute(envelope)
    assert not (project / ".lorchestra").exists()


def test_an_unknown_profile_is_the_operators_mistake(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="no profile 'nightly'"):
        api.execute(request(), profile="nightly")
    assert not (project / ".lorchestra").exists()


def test_a_dry_run_leaves_no_trace(project: Path) -> None:
    result = api.execute(request(dry_run=True))
    assert (result.status, result.success, result.run_id) == ("dry_run", True, None)
    assert not (project / ".lorchestra").exists()


def test_compile_gives_the_instance_and_leaves_no_trace(project: Path) -> None:
    instance = api.compile(request())
    assert instance.steps[0].params["day"] == "monday"
    assert instance.job_def_sha256 == USUAL.sha256()
    assert not (project / ".lorchestra").exists()


# Resume


def broken_run(project: Path) -> str:
    (project / "callables" / "fetch.py").write_text(BROKEN)
    run_id = api.execute(request()).run_id
    assert run_id is not None
    (project / "callables" / "fetch.py").write_text(FETCH)
    return run_id


def test_a_run_is_resumed_by_the_beginning_of_its_id_with_the_payload_it_had(project: Path) -> None:
    run_id = broken_run(project)

    result = api.resume(run_id[:20].lower(), accept_changes=True)

    assert (result.success, result.run_id) == (True, run_id)
    (record,) = recorded(project)
    assert len(record.attempts) == 2


def test_a_changed_callable_is_refused_unless_accepted(project: Path) -> None:
    run_id = broken_run(project)
    with pytest.raises(lorchestra.errors.DefinitionError, match="the callable 'fetch' has changed since"):
        api.resume(run_id)


def test_a_finished_run_is_not_resumed(project: Path) -> None:
    run_id = api.execute(request()).run_id
    assert run_id is not None
    with pytest.raises(StoreError, match="there is nothing to resume"):
        api.resume(run_id)


def test_a_child_is_resumed_by_its_parent(project: Path) -> None:
    (project / "callables" / "fetch.py").write_text(BROKEN)
    define(project, job(run_job("sub", "tidy", payload={"day": "x"}), job_id="parent"))
    parent_id = api.execute({"job_id": "parent"}).run_id
    (child,) = [record for record in recorded(project) if record.parent_run_id]
    with pytest.raises(lorchestra.errors.DefinitionError, match=f"resume {parent_id}"):
        api.resume(child.run_id)


def test_resume_or_execute_goes_on_with_the_last_run_or_starts_one(project: Path) -> None:
    started = api.resume_or_execute(request())
    assert started.success
    run_id = broken_run(project)

    resumed = api.resume_or_execute({"job_id": "tidy"}, accept_changes=True)

    assert (resumed.run_id, resumed.success) == (run_id, True)
    assert api.resume_or_execute(request()).run_id not in (run_id, started.run_id)


def test_resume_or_execute_takes_no_other_payload_for_a_run_that_goes_on(project: Path) -> None:
    broken_run(project)
    with pytest.raises(EnvelopeError, match="a payload or ctx was given"):
        api.resume_or_execute(request(), accept_changes=True)
