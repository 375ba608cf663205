"""What the settings file, its profiles, the environment and the place of the command decide."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cli import Project, run_cli

_PROFILES = """
run_store: {path: here}
profiles:
  other: {run_store: {path: there}}
  forgetful: {run_store: {kind: memory}, storacle: {kind: memory}}
"""


def test_a_profile_changes_the_store(people: Project) -> None:
    people.settings(_PROFILES)
    people("run", "people", "--payload", "count=1", "--profile", "other").require(0)
    assert (people.root / "there" / "runs.db").is_file()
    assert not (people.root / "here").exists()
    assert people.inside("runs", "list").require(0).out == "no runs\n"
    assert len(people.inside("--profile", "other", "runs", "list", "--json").require(0).json) == 1


def test_the_environment_names_the_profile_and_overrides_it(people: Project) -> None:
    people.settings(_PROFILES)
    environ = {"LORCHESTRA_PROFILE": "other", "LORCHESTRA_RUN_STORE__PATH": "elsewhere"}
    people("run", "people", "--payload", "count=1", environ=environ).require(0)
    assert (people.root / "elsewhere" / "runs.db").is_file()


def test_a_store_in_memory_leaves_nothing_behind(people: Project) -> None:
    people.settings(_PROFILES)
    before = sorted(people.root.rglob("*"))
    people.inside("run", "people", "--payload", "count=1", "--profile", "forgetful").require(0)
    assert sorted(people.root.rglob("*")) == before


def test_the_project_is_found_from_a_folder_below(people: Project) -> None:
    below = people.root / "notes" / "today"
    below.mkdir(parents=True)
    people("run", "people", "--payload", "count=1", cwd=below).require(0)
    assert [run.status for run in people.runs()] == ["completed"]
    assert list(below.iterdir()) == []


def test_a_folder_without_settings_is_a_project_with_the_defaults(tmp_path: Path) -> None:
    project = Project(tmp_path).job("only", "- {step_id: one, op: call, params: {callable: one}}\n")
    project.callable("one", "def execute(params):\n    return {'items': []}\n")
    project("run", "only").require(0)
    assert [run.job_id for run in project.runs()] == ["only"]


def test_a_folder_without_anything_says_what_is_missing(tmp_path: Path) -> None:
    refused = run_cli("jobs", "list", cwd=tmp_path).require(65)
    assert f"there is no folder '{tmp_path}/jobs/definitions'" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_options_of_lorchestra_may_stand_before_and_behind_the_command(people: Project) -> None:
    people.settings(_PROFILES)
    before = people.inside("--profile", "forgetful", "-q", "run", "people", "--payload", "count=101").require(1)
    behind = people.inside("run", "people", "--payload", "count=101", "-q", "--profile=forgetful").require(1)
    for done in (before, behind):
        assert [line.split()[2] for line in done.err.splitlines()] == ["warning"]
