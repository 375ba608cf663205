"""Content that comes with lorchestra: found after a project's own, and never taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorchestra import api, built_in_content, pipeline
from lorchestra.errors import ConfigurationError, DefinitionError
from lorchestra.resources import ResourceFolder
from lorchestra.storacle.sql.library import SqlLibrary
from lorchestra.workspace import Workspace
from tests.e2e.cli import Project

CONTENT = built_in_content.find()
PIPELINES = ("canonize", "daily_all", "formation", "ingest", "project", "views")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder that holds nothing yet."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_the_shipped_content_has_no_mistakes(project: Project) -> None:
    assert CONTENT is not None
    with Workspace.open() as workspace:
        built_in = workspace.registry.built_in
        assert built_in is not None
        assert workspace.problems(built_in.list_jobs()) == ()
        assert workspace.pipelines.problems(PIPELINES) == ()
        shipped = {summary.pipeline_id for summary in workspace.pipelines.summaries() if summary.is_built_in}
        assert shipped == set(PIPELINES)
    assert SqlLibrary(CONTENT.sql_path).problems() == ()
    first = "# yaml-language-server: $schema="
    for path in (*CONTENT.definitions_path.rglob("*.yaml"), *CONTENT.pipelines_path.rglob("*.yaml")):
        schema = path.read_text().splitlines()[0].removeprefix(first)
        assert (path.parent / schema).is_file(), path


def test_daily_all_runs_the_other_five_and_every_job_once(project: Project) -> None:
    planned = pipeline.plan_pipeline("daily_all")
    parts = [job.path[0] for job in planned]
    assert list(dict.fromkeys(parts)) == ["ingest", "canonize", "formation", "views", "project"]
    assert len({job.job_id for job in planned}) == len(planned)


def test_a_job_of_the_project_wins_over_a_built_in_one_also_in_built_in_pipelines(project: Project) -> None:
    job_id = "view_proj_clients"
    before = {job.job_id: job.writes for job in pipeline.plan_pipeline("views")}
    assert before[job_id] == ("proj_clients (view.create)",)
    project.job(job_id, "- {step_id: own, op: call, params: {callable: own}}\n")
    project.callable("own", "def execute(params):\n    return {'items': []}\n")
    assert {job.job_id: job.writes for job in pipeline.plan_pipeline("views")} == {**before, job_id: ()}
    result = pipeline.run_pipeline("views", only=[job_id])
    assert result.success
    assert project.inside("jobs", "show", job_id, "--json").json["built_in"] is False


def test_built_in_jobs_are_listed_apart(project: Project) -> None:
    project.job("view_proj_clients", "- {step_id: own, op: call, params: {callable: own}}\n")
    own = project.inside("jobs", "list").require(0).out.splitlines()
    assert own[1].startswith("view_proj_clients")
    assert own[-1].endswith("built in: lorchestra jobs list --built-in")
    listed = project.inside("jobs", "list", "--built-in", "--json").require(0).json
    assert {one["built_in"] for one in listed} == {True}
    ids = {one["job_id"] for one in listed}
    assert "ingest_gmail_acct1" in ids
    assert "view_proj_clients" not in ids
    assert "built_in: yes" in project.inside("jobs", "show", "ingest_gmail_acct1").require(0).out


def test_a_project_without_jobs_of_its_own_does_with_the_built_in_ones_and_hears_of_a_wrong_name(
    project: Project,
) -> None:
    assert api.compile({"job_id": "view_proj_clients"}).job_id == "view_proj_clients"
    for envelope in ({"job_id": "view_proj_client"}, {"job_id": "view_proj_clients", "definitions_dir": "nowhere"}):
        with pytest.raises(DefinitionError, match="there is no folder"):
            api.compile(envelope)
    (project.root / "jobs" / "definitions").mkdir(parents=True)
    with pytest.raises(DefinitionError, match=r"there are no definitions; did you mean 'view_proj_clients'\?"):
        api.compile({"job_id": "view_proj_client"})


def test_a_project_of_pipelines_alone_has_no_mistakes(project: Project) -> None:
    project.write("pipelines/ingest.yaml", "pipeline_id: ingest\nstages:\n- {name: all, jobs: [ingest_gmail_acct1]}\n")
    assert project.inside("jobs", "validate").require(0).out == "1 definition checked, no mistakes\n"
    planned = [job.job_id for job in pipeline.plan_pipeline("daily_all") if job.stage.startswith("ingest")]
    assert planned == ["ingest_gmail_acct1"]


def test_resources_are_those_of_the_project_or_else_the_next_that_are_there(tmp_path: Path) -> None:
    own, built_in = tmp_path / "own", tmp_path / "built_in"
    for folder, names in ((own, ("both",)), (built_in, ("both", "theirs"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(folder.name)
    (tmp_path / "outside").touch()
    (own / "link").symlink_to(tmp_path / "outside")
    loaded = ResourceFolder(own, built_in).load({"a": "both", "b": "theirs"})
    assert {name: resource.content for name, resource in loaded.items()} == {"a": b"own", "b": b"built_in"}
    with pytest.raises(ConfigurationError, match="cannot be read below"):
        ResourceFolder(own, built_in).load({"a": "neither"})
    for path in ("../outside", "link", str(tmp_path / "outside")):
        with pytest.raises(ConfigurationError, match="outside the project's content folder"):
            ResourceFolder(own, built_in).load({"a": path})


def test_views_of_the_project_may_read_built_in_ones_and_answer_for_themselves_alone(tmp_path: Path) -> None:
    own, built_in = tmp_path / "own", tmp_path / "built_in"
    for folder, name, query in (
        (built_in, "given", "SELECT idem_key FROM raw.raw_objects"),
        (built_in, "broken", "SELECT nothing FROM nowhere.at_all"),
        (own, "mine", "SELECT idem_key FROM derived.given"),
        (own, "wrong", "SELECT missing FROM derived.given"),
    ):
        (folder / "views").mkdir(parents=True, exist_ok=True)
        (folder / "views" / f"{name}.sql").write_text(f"CREATE OR REPLACE VIEW derived.{name} AS\n{query}\n")
    (own / "queries").mkdir()
    (own / "queries" / "all.sql").write_text("SELECT idem_key FROM derived.given\n")
    places = [str(problem.location) for problem in SqlLibrary(own, built_in=built_in).problems()]
    assert len(places) == 1
    assert places[0].startswith("views/wrong.sql:")
