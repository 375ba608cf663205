"""Listing, showing and checking definitions."""

from __future__ import annotations

from tests.e2e.cli import Project
from tests.e2e.pages import ROOT

_ONE_STEP = "- {step_id: only, op: call, params: {callable: people, count: 1}}\n"


def test_jobs_are_listed_with_version_steps_and_description(people: Project) -> None:
    people.job("greetings", _ONE_STEP, head="description: Grüße 日本\ntags: [a]\n", folder="jobs/definitions/deep/down")
    assert people("jobs", "list").require(0).out.splitlines()[:4] == [
        "JOB        VERSION  STEPS  DESCRIPTION",
        "greetings  2.0      1      Grüße 日本",
        "people     2.0      3      Makes people up.",
        "",
    ]
    assert people.inside("jobs", "list", "--json").require(0).json[0] == {
        "job_id": "greetings",
        "version": "2.0",
        "description": "Grüße 日本",
        "tags": ["a"],
        "steps": 1,
        "file": str(people.root / "jobs/definitions/deep/down/greetings.yaml"),
        "built_in": False,
        "problems": [],
    }


def test_a_broken_file_hides_no_other_job(people: Project) -> None:
    people.write("jobs/definitions/torn.yaml", "job_id: [\n").write("jobs/definitions/empty_one.yaml", "steps: []\n")
    rows = people("jobs", "list").require(0).out.splitlines()
    assert [row.split()[0] for row in rows[:4]] == ["JOB", "empty_one", "people", "torn"]
    assert "broken: see `lorchestra jobs validate empty_one`" in rows[1]
    assert f"broken: {people.root}/jobs/definitions/torn.yaml:2:1: " in rows[3]
    assert people.inside("jobs", "list", "--json").require(0).json[2]["problems"]


def test_a_project_without_jobs_says_how_to_make_one(project: Project) -> None:
    assert project("jobs", "list").require(0).out.startswith("no jobs yet: a job is a file <job_id>.yaml")
    assert project.inside("jobs", "list", "--json").require(0).json == []
    assert project.inside("jobs", "validate").require(0).out == "0 definitions checked, no mistakes\n"


def test_a_definition_is_shown_with_its_versions_and_steps(people: Project) -> None:
    people.write("jobs/definitions/people@2.3.yaml", f"job_id: people\nversion: '2.3'\nsteps:\n{_ONE_STEP}")
    page = people("jobs", "show", "people").require(0).out
    assert "version: 2.0\nversions: 2.0, 2.3\n" in page
    assert page.endswith("STEP     OP\nfetch    call\npersist  plan.build\nwrite    storacle.submit\n")
    shown = people.inside("jobs", "show", "people", "--version", "2.3", "--json").require(0).json
    assert [step["step_id"] for step in shown["definition"]["steps"]] == ["only"]
    assert len(shown["sha256"]) == 64


def test_validate_reports_every_mistake_with_its_place(people: Project) -> None:
    people.write(
        "jobs/definitions/wrong.yaml",
        "job_id: wrong\nversion: 2.0\nsteps:\n- step_id: Fetch\n  op: cal\n- step_id: next\n  op: call\n  parms: {}\n",
    )
    people.job("asks", "- {step_id: only, op: call, params: {callable: poeple}}\n")
    people.job("starts", "- {step_id: only, op: job.run, params: {job_id: nobody}}\n")
    refused = people("jobs", "validate").require(65)
    folder = people.root / "jobs" / "definitions"
    places = [line.split(": ")[0] for line in refused.err.splitlines()]
    assert places == [
        f"{folder}/wrong.yaml:2:10",
        f"{folder}/wrong.yaml:4:12",
        f"{folder}/wrong.yaml:5:7",
        f"{folder}/wrong.yaml:8:3",
        f"{folder}/asks.yaml:4:48",
        f"{folder}/starts.yaml:4:49",
        "error",
    ]
    assert "did you mean 'people'?" in refused.err
    assert "error: 6 mistakes in 4 definitions\n" in refused.err
    assert refused.out == ""
    as_json = people.inside("jobs", "validate", "asks", "--json").require(65).json
    assert [(problem["line"], problem["column"], problem["hint"]) for problem in as_json] == [
        (4, 48, "did you mean 'people'?")
    ]


def test_validate_checks_the_jobs_it_is_given(people: Project) -> None:
    people.write("jobs/definitions/torn.yaml", "job_id: [\n")
    assert people.inside("jobs", "validate", "people").require(0).out == "1 definition checked, no mistakes\n"
    assert "did you mean 'people'?" in people.inside("jobs", "validate", "peple").require(65).err


def test_validate_checks_the_projects_measures_too(people: Project) -> None:
    folder = people.root / "measures" / "instruments" / "phq9"
    folder.mkdir(parents=True)
    shipped = (ROOT / "measures" / "instruments" / "phq9" / "1-0-0.json").read_text()
    (folder / "1-0-0.json").write_text(shipped.replace('"max": 9,', '"max": 10,'))

    refused = people.inside("jobs", "validate").require(65)

    assert "measures/instruments/phq9/1-0-0.json:" in refused.err
    assert "the band begins at 10; expected 11, so that no score has two or none" in refused.err
    assert people.inside("jobs", "validate", "people").require(0)
