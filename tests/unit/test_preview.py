from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorchestra.errors import CompileError, JobNotFoundError
from lorchestra.handlers.orchestration import RecursiveJob
from lorchestra.preview import preview
from lorchestra.schemas import Envelope, JobDef
from lorchestra.workspace import Workspace
from tests.jobs import build, call, job, run_job, submit, write

CALLABLE = "def execute(params):\n    raise SystemExit('it was called')\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a project with a callable, and an LLM whose key is kept nowhere."""
    for name in ("jobs/definitions", "callables"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "callables" / "fetch.py").write_text(CALLABLE)
    llm = {"base_url": "https://llm.invalid/v1", "api_key": "env:NOT_SET_ANYWHERE", "model": "small"}
    (tmp_path / "lorchestra.yaml").write_text(yaml.safe_dump({"llm": llm}))
    return tmp_path


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    before = sorted(project.rglob("*"))
    with Workspace.open(start=project, environ={}) as workspace:
        yield workspace
    made = [path for path in sorted(project.rglob("*")) if path not in before and path.suffix != ".yaml"]
    assert made == [], "a dry run makes nothing"


def shown(workspace: Workspace, *jobs: JobDef, **envelope: Any) -> dict[str, Any]:
    """A dry run of the first of the jobs, as JSON has it."""
    for one in jobs:
        file = workspace.settings.root / "jobs" / "definitions" / f"{one.job_id}.yaml"
        file.write_text(yaml.safe_dump(one.canonical()))
    result = preview(workspace, Envelope(job_id=jobs[0].job_id, **envelope))
    assert (result.status, result.success, result.run_id, result.run_record) == ("dry_run", True, None, None)
    as_json: dict[str, Any] = json.loads(json.dumps(result.to_dict()))
    assert (as_json["status"], as_json["success"]) == ("dry_run", True)
    found: dict[str, Any] = as_json["preview"]
    return found


def test_a_dry_run_says_of_each_step_what_it_would_be_asked(workspace: Workspace) -> None:
    found = shown(workspace, job(call("fetch", params={"day": "@payload.day"}), *write("fetch")), payload={"day": "x"})

    assert (found["job_id"], found["version"], found["namespace"]) == ("tidy", "2.0", "prod")
    assert found["job_def_sha256"] == workspace.registry.load("tidy").sha256()
    fetch, plan, send = found["steps"]
    assert fetch["params"] == {"callable": "fetch", "day": "@payload.day"}
    assert (fetch["op"], fetch["backend"], fetch["skipped"]) == ("call", "callable", False)
    assert fetch["callable"]["content_hash"] == workspace.callables.get("fetch").content_hash
    assert plan["writes"]["table"] == "visits"
    assert send["params"] == {"plan": "@run.fetch_plan.plan"}


def test_no_value_of_the_envelope_is_shown(workspace: Workspace) -> None:
    steps = (
        call(
            "fetch", params={"day": "@payload.day", "read": {"dataset": "raw", "table": "t", "where": {"d": "@ctx.d"}}}
        ),
        build("plan", "fetch", params={"field_defaults": {"note": "@payload.day"}}),
        submit("send", "plan"),
        run_job("sub", "child", payload={"day": "@payload.day"}),
    )
    child = job(call("fetch", params={"day": "@payload.day"}), job_id="child")
    found = shown(workspace, job(*steps), child, payload={"day": "canary-1"}, ctx={"d": "canary-2"})
    assert "canary" not in str(found)


def test_steps_that_are_joined_by_streams_have_the_same_segment_and_skipped_ones_have_none(
    workspace: Workspace,
) -> None:
    steps = (call("fetch"), *write("fetch"), call("maybe", name="fetch", when="@ctx.go"), call("last", name="fetch"))
    found = shown(workspace, job(*steps), ctx={"go": False})
    assert [(step["step_id"], step["segment"], step["skipped"]) for step in found["steps"]] == [
        ("fetch", 1, False),
        ("fetch_plan", 1, False),
        ("fetch_write", 1, False),
        ("maybe", None, True),
        ("last", 2, False),
    ]


def test_no_secret_is_needed(workspace: Workspace) -> None:
    ask = {"step_id": "ask", "op": "compute.llm", "params": {"prompt": "@payload.prompt"}}
    found = shown(workspace, job(ask), payload={"prompt": "canary"})
    assert found["steps"][0]["params"] == {"prompt": "@payload.prompt"}


def test_a_child_is_shown_below_its_step_in_the_same_namespace(workspace: Workspace) -> None:
    child = job(call("fetch"), job_id="child")
    found = shown(workspace, job(run_job("sub", "child")), child, smoke_namespace="trial")
    below = found["steps"][0]["child"]
    assert (below["job_id"], below["namespace"]) == ("child", "smoke_trial")
    assert [step["step_id"] for step in below["steps"]] == ["fetch"]


def test_what_could_not_start_is_refused_as_it_would_be(workspace: Workspace) -> None:
    with pytest.raises(CompileError, match=r"tidy\.yaml:\d+:\d+: no callable is named 'fetchh'.*did you mean 'fetch'"):
        shown(workspace, job(call("fetchh")))
    with pytest.raises(CompileError, match="no definition of 'childd'"):
        shown(workspace, job(run_job("sub", "childd")))
    with pytest.raises(RecursiveJob, match="tidy -> child -> tidy"):
        shown(workspace, job(run_job("sub", "child")), job(run_job("up", "tidy"), job_id="child"))
    with pytest.raises(JobNotFoundError):
        preview(workspace, Envelope(job_id="nowhere"))


def test_a_skipped_step_may_name_what_there_is_not(workspace: Workspace) -> None:
    found = shown(workspace, job(call("maybe", name="unknown", when=False)))
    assert found["steps"][0]["skipped"] is True
