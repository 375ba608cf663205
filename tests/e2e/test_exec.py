"""Running a job from the command line: what comes out, and what the exit code says."""

from __future__ import annotations

import re

import pytest

from tests.e2e.cli import Project


@pytest.mark.parametrize(("count", "status", "code"), [(3, "completed", 0), (101, "partial", 1), (-1, "failed", 2)])
def test_the_exit_code_says_how_the_run_went(people: Project, count: int, status: str, code: int) -> None:
    done = people("exec", "job", "people", "--payload", f"count={count}").require(code)
    assert done.out.startswith(f"{status}: people 2.0 in ")
    assert [run.status for run in people.runs()] == [status]


def test_a_run_reports_each_step_with_its_counts(people: Project) -> None:
    done = people("run", "people", "--payload", "count=3").require(0)
    assert [line.split(maxsplit=2) for line in done.out.splitlines()[1:]] == [
        ["fetch", "completed", "record 3"],
        ["persist", "completed", "ops 1, sends 1"],
        ["write", "completed", "applied 1"],
    ]


def test_a_failed_run_says_what_was_not_done_and_how_to_go_on(people: Project) -> None:
    done = people("run", "people", "--payload", "count=-1", "-q").require(2)
    run_id = people.runs()[0].run_id
    assert [line.split(maxsplit=1) for line in done.out.splitlines()[1:]] == [
        ["fetch", "failed"],
        ["persist", "not done"],
        ["write", "not done"],
    ]
    assert "error: step 'fetch' failed after 1 try: ValueError at callables/people.py:11:people\n" in done.err
    assert f"details: lorchestra runs show {run_id}\n" in done.err
    assert f"continue it with: lorchestra runs resume {run_id}\n" in done.err


def test_the_result_as_json_is_all_of_the_standard_output(people: Project) -> None:
    result = people("run", "people", "--payload", "count=3", "--json").require(0).json
    assert result["success"] is True
    assert result["status"] == "completed"
    assert result["run_id"] == people.runs()[0].run_id
    assert [step["status"] for step in result["attempt"]["step_outcomes"]] == ["completed"] * 3


def test_values_come_from_a_file_the_standard_input_and_pairs(people: Project) -> None:
    people.job("echo", "- {step_id: say, op: call, params: {callable: echo, all: '@payload', ctx: '@ctx'}}\n")
    people.callable("echo", "def execute(params):\n    return {'items': [{'idem_key': 'a', **params}]}\n")
    people.write("payload.json", '{"a": 1, "b": {"c": 2}}')
    compiled = people(
        *("exec", "compile", "echo", "--payload", "@payload.json", "--payload", "-"),
        *("--payload", "b.d=-4", "--ctx", "who=Zoë", "--json"),
        stdin=b'{"e": null}',
    )
    params = compiled.require(0).json["steps"][0]["params"]
    assert params["all"] == {"a": 1, "b": {"c": 2, "d": -4}, "e": None}
    assert params["ctx"] == {"who": "Zoë"}


def test_a_job_compiles_to_yaml_and_json_that_say_the_same(people: Project) -> None:
    import yaml

    arguments = ("exec", "compile", "people", "--payload", "count=3")
    as_yaml = yaml.safe_load(people(*arguments).require(0).out)
    as_json = people.inside(*arguments, "--format", "json").require(0).json
    assert {**as_yaml, "compiled_at": ""} == {**as_json, "compiled_at": ""}
    assert as_json["steps"][0]["params"]["count"] == 3
    assert not people.has_store()


def test_another_version_runs_when_it_is_asked_for(people: Project) -> None:
    people.write(
        "jobs/definitions/people@2.1.yaml",
        "job_id: people\nversion: '2.1'\nsteps:\n- {step_id: only, op: call, params: {callable: people, count: 1}}\n",
    )
    people.inside("run", "people", "--version", "2.1").require(0)
    assert [(run.job_version, run.step_ids) for run in people.runs()] == [("2.1", ("only",))]


def test_definitions_may_lie_elsewhere(people: Project) -> None:
    people.job("far", "- {step_id: only, op: call, params: {callable: people, count: 1}}\n", folder="elsewhere")
    people.inside("run", "far", "--definitions-dir", "elsewhere").require(0)
    assert (
        people.inside("jobs", "list", "--definitions-dir", "elsewhere", "--json").require(0).json[0]["job_id"] == "far"
    )
    people.inside("run", "far").require(65)


def test_a_smoke_run_is_recorded_in_its_namespace(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=1", "--smoke-namespace", "try1").require(0)
    assert people.runs()[0].namespace == "smoke_try1"


def test_resume_takes_up_the_run_that_did_not_finish(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=-1").require(2)
    healed = people.callable("people", "def execute(params):\n    return {'items': [{'idem_key': 'a'}]}\n")
    healed.inside("exec", "job", "people", "--resume").require(65)
    done = healed.inside("exec", "job", "people", "--resume", "--accept-changes").require(0)
    assert re.match(r"completed: people 2\.0 in .* \(attempt 2\), run ", done.out)
    assert [run.status for run in people.runs()] == ["completed"]


def test_resume_starts_a_run_where_none_is_unfinished(people: Project) -> None:
    people.inside("exec", "job", "people", "--resume", "--payload", "count=1").require(0)
    people.inside("exec", "job", "people", "--resume", "--payload", "count=2").require(0)
    assert [run.status for run in people.runs()] == ["completed", "completed"]


def test_a_run_is_not_resumed_with_another_payload(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=-1").require(2)
    refused = people.inside("run", "people", "--resume", "--payload", "count=1").require(65)
    assert "a run is resumed with the payload and ctx it was started with" in refused.err
    assert [run.status for run in people.runs()] == ["failed"]
