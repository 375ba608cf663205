from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lorchestra import registry
from lorchestra.definitions import definition_files
from lorchestra.errors import DefinitionError, JobNotFoundError, JobValidationError
from lorchestra.registry import JobRegistry
from lorchestra.schemas.job_def import JobId, Version

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "definitions"
    folder.mkdir()
    return folder


@pytest.fixture
def write(folder: Path) -> Write:
    def write(
        name: str, job_id: str = "", version: str = "2.0", *, root: Path = folder, text: str | None = None
    ) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        job_id = job_id or path.stem.partition("@")[0]
        steps = "steps:\n- step_id: fetch\n  op: call\n  params: {callable: injest}\n"
        path.write_text(f"job_id: {job_id}\nversion: '{version}'\n{steps}" if text is None else text, encoding="utf-8")
        return path

    return write


def test_a_job_is_found_by_its_id_wherever_it_lies(folder: Path, write: Write) -> None:
    write("top.yaml")
    path = write("ingest/mail/gmail.yml")
    jobs = JobRegistry(folder)
    assert jobs.list_jobs() == ("gmail", "top")
    assert jobs.load("gmail").job_id == "gmail"
    assert jobs.path_of("gmail") == path
    assert jobs.source_of("gmail").locate(("version",)).line == 2


def test_the_registry_sees_what_the_folder_holds_now(folder: Path, write: Write) -> None:
    jobs = JobRegistry(str(folder))
    assert jobs.list_jobs() == ()
    path = write("late.yaml")
    assert jobs.load("late").version == "2.0"
    path.unlink()
    with pytest.raises(JobNotFoundError):
        jobs.load("late")


def test_an_unknown_id_is_answered_with_the_nearest_known_one(folder: Path, write: Write) -> None:
    write("ingest_gmail.yaml")
    write("ingest_forms.yaml")
    with pytest.raises(JobNotFoundError) as caught:
        JobRegistry(folder).load("ingest_gmial")
    assert "no definition of 'ingest_gmial'" in str(caught.value)
    assert "known: ingest_forms, ingest_gmail" in str(caught.value)
    assert "did you mean 'ingest_gmail'?" in str(caught.value)
    assert caught.value.job_id == "ingest_gmial"


@pytest.mark.parametrize(
    "job_id", ["", ".", "..", "../x", "../outside", "sub/x", "x.yaml", "*", "x@2.0", "X", "a\0b", "x\n", "%2e%2e/x"]
)
@pytest.mark.parametrize("version", [None, "../../outside", "2.0"])
def test_an_id_never_leads_out_of_the_folder(folder: Path, write: Write, job_id: str, version: str | None) -> None:
    write("sub/x.yaml")
    write("outside.yaml", root=folder.parent)
    with pytest.raises(JobNotFoundError):
        JobRegistry(folder).load(job_id, version)


def test_an_absolute_path_is_no_id(folder: Path, write: Write) -> None:
    path = write("x.yaml")
    for job_id in (str(path), str(path.with_suffix(""))):
        with pytest.raises(JobNotFoundError):
            JobRegistry(folder).load(job_id)


def test_older_versions_lie_beside_the_current_one(folder: Path, write: Write) -> None:
    current = write("a/x.yaml", version="2.10")
    older = write("a/x@2.9.yaml", version="2.9")
    oldest = write("a/x@2.0.yml", version="2.0")
    jobs = JobRegistry(folder)
    assert jobs.versions("x") == ("2.0", "2.9", "2.10")
    assert [jobs.path_of("x", version) for version in (None, "2.10", "2.9", "2.0")] == [current, current, older, oldest]
    assert jobs.load("x").version == "2.10"
    assert jobs.load("x", "2.9").version == "2.9"
    assert jobs.list_jobs() == ("x",)


@pytest.mark.parametrize("version", ["2.8", "", "2", "../x"])
def test_an_unknown_version_is_answered_with_the_known_ones(folder: Path, write: Write, version: str) -> None:
    write("x.yaml", version="2.10")
    write("x@2.9.yaml", version="2.9")
    with pytest.raises(JobNotFoundError) as caught:
        JobRegistry(folder).load("x", version)
    assert "known: 2.10, 2.9" in str(caught.value)


def test_an_older_version_can_be_loaded_while_the_current_file_is_broken(folder: Path, write: Write) -> None:
    write("x.yaml", text="job_id: [1\n")
    write("x@2.0.yaml", version="2.0")
    jobs = JobRegistry(folder)
    assert jobs.load("x", "2.0").version == "2.0"
    with pytest.raises(JobValidationError, match=r"the list in \[ \]"):
        jobs.load("x", "2.1")


def test_a_current_version_without_quotes_is_still_found_and_then_refused(folder: Path, write: Write) -> None:
    write("x.yaml", text="job_id: x\nversion: 2.10\nsteps: [{step_id: a, op: call}]\n")
    jobs = JobRegistry(folder)
    assert jobs.versions("x") == ("2.10",)
    with pytest.raises(JobValidationError, match=r"did you mean '2\.10'\?"):
        jobs.load("x", "2.10")


def test_a_job_with_only_older_versions_says_what_is_missing(folder: Path, write: Write) -> None:
    write("x@2.9.yaml", version="2.9")
    write("x@2.10.yaml", version="2.10")
    jobs = JobRegistry(folder)
    assert jobs.list_jobs() == ()
    assert jobs.load("x", "2.9").version == "2.9"
    with pytest.raises(JobValidationError, match=r"only older ones \(2\.9, 2\.10\)"):
        jobs.load("x")
    assert "'x' has an older version and no current one" in str(jobs.problems()[0])


def test_an_id_in_two_files_is_refused_and_both_are_named(folder: Path, write: Write) -> None:
    one, other = write("a/x.yaml"), write("b/x.yml")
    write("b/y.yaml")
    jobs = JobRegistry(folder)
    for ask in (jobs.load, jobs.path_of, jobs.source_of, jobs.versions):
        with pytest.raises(JobValidationError) as caught:
            ask("x")
        assert str(one) in str(caught.value)
        assert str(other) in str(caught.value)
    assert jobs.load("y").job_id == "y"
    assert jobs.list_jobs() == ("x", "y")


def test_an_older_version_in_two_files_is_refused_and_both_are_named(folder: Path, write: Write) -> None:
    write("x.yaml", version="2.1")
    one, other = write("a/x@2.0.yaml"), write("b/x@2.0.yaml")
    with pytest.raises(JobValidationError, match=re.escape(f"'x@2.0' is in 2 files: {one}, {other}")):
        JobRegistry(folder).load("x", "2.0")


def test_a_version_claimed_by_the_current_file_and_an_older_one_is_refused(folder: Path, write: Write) -> None:
    one, other = write("x.yaml", version="2.1"), write("x@2.1.yaml", version="2.1")
    jobs = JobRegistry(folder)
    with pytest.raises(JobValidationError, match=re.escape(f"'x@2.1' is in 2 files: {one}, {other}")):
        jobs.load("x", "2.1")
    assert [str(problem).partition(": ")[2] for problem in jobs.problems()] == [
        f"'x@2.1' is in 2 files: {one}, {other}; expected one; rename or remove the others"
    ]


def test_an_earlier_folder_wins_by_id(tmp_path: Path, folder: Path, write: Write) -> None:
    builtin = tmp_path / "builtin"
    mine = write("x.yaml", version="2.5")
    write("a/x.yaml", version="2.0", root=builtin)
    write("x@2.1.yaml", version="2.1", root=builtin)
    theirs = write("y.yaml", root=builtin)
    write("y@2.9.yaml", version="2.9")
    jobs = JobRegistry(folder, builtin)
    assert jobs.list_jobs() == ("x", "y")
    assert (jobs.path_of("x"), jobs.path_of("y")) == (mine, theirs)
    assert jobs.versions("x") == ("2.5",)


def test_the_id_and_the_version_inside_must_be_those_of_the_file_name(folder: Path, write: Write) -> None:
    write("x.yaml", job_id="z", version="2.2")
    write("x@2.0.yaml", job_id="y", version="2.1")
    jobs = JobRegistry(folder)
    with pytest.raises(JobValidationError) as caught:
        jobs.load("x", "2.0")
    assert [str(problem).rpartition("x@2.0.yaml")[2] for problem in caught.value.problems] == [
        ":1:9: found the job_id 'y'; expected 'x', as the file is named",
        ":2:10: found the version '2.1'; expected '2.0', as the file is named",
    ]
    with pytest.raises(JobValidationError, match=r"x\.yaml:1:9: found the job_id 'z'; expected 'x'"):
        jobs.load("x")


def test_the_wrong_name_is_reported_together_with_other_mistakes(folder: Path, write: Write) -> None:
    write("x.yaml", text="job_id: z\nversion: 2.0\nsteps: []\n")
    with pytest.raises(JobValidationError) as caught:
        JobRegistry(folder).load("x")
    assert [problem.location.line for problem in caught.value.problems if problem.location] == [1, 2, 3]


def test_a_missing_folder_is_named(tmp_path: Path, folder: Path) -> None:
    missing = tmp_path / "none"
    (tmp_path / "file").touch()
    for jobs in (JobRegistry(missing), JobRegistry(folder, missing)):
        with pytest.raises(DefinitionError, match=re.escape(f"there is no folder '{missing}'")):
            jobs.list_jobs()
    with pytest.raises(DefinitionError, match="is no folder"):
        JobRegistry(tmp_path / "file").load("x")
    with pytest.raises(DefinitionError, match="cannot be listed"):
        JobRegistry("a\0b").problems()


def test_links_may_lead_round_in_circles(folder: Path, write: Write) -> None:
    path = write("a/x.yaml")
    (folder / "a" / "up").symlink_to(folder)
    (folder / "0_first").symlink_to(folder / "a")
    (folder / "self").symlink_to(folder / "self")
    (folder / "round.yaml").symlink_to(folder / "round.yaml")
    (folder / "gone.yaml").symlink_to(folder / "nowhere")
    jobs = JobRegistry(folder)
    assert jobs.list_jobs() == ("gone", "round", "x")
    assert jobs.path_of("x") == path
    with pytest.raises(JobValidationError, match="there is no such file"):
        jobs.load("gone")
    with pytest.raises(JobValidationError, match="cannot be read"):
        jobs.load("round")


def test_a_linked_folder_is_looked_through(tmp_path: Path, folder: Path, write: Write) -> None:
    write("x.yaml", root=tmp_path / "elsewhere")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    assert JobRegistry(folder).path_of("x") == folder / "linked" / "x.yaml"


def test_hidden_files_and_other_files_are_passed_over(folder: Path, write: Write) -> None:
    for name in (".hidden.yaml", ".git/x.yaml", "README.md", "notes.txt", "x.yaml.orig", "x.json"):
        write(name, text="")
    (folder / "sub.yaml").mkdir()
    jobs = JobRegistry(folder)
    assert jobs.list_jobs() == ()
    assert jobs.problems() == ()


def test_listing_opens_no_file_and_imports_no_pydantic(folder: Path, write: Write) -> None:
    write("broken.yaml", text="job_id: [")
    code = (
        "import sys\nfrom lorchestra.registry import JobRegistry\n"
        f"jobs = JobRegistry({str(folder)!r})\n"
        "assert jobs.list_jobs() == ('broken',)\nassert len(jobs.summaries()) == 1\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_name_that_says_no_id_is_reported(folder: Path, write: Write) -> None:
    for name in ("Fetch-Mail.yaml", "x@2.yaml", "9lives.yml", "@2.0.yaml"):
        write(name, text="")
    write("good.yaml")
    jobs = JobRegistry(folder)
    found = [str(problem) for problem in jobs.problems()]
    assert len(found) == 4
    assert "did you mean 'fetch_mail.yaml'?" in "\n".join(found)
    assert all("says no job id; expected <job_id>.yaml" in each for each in found)
    assert jobs.list_jobs() == ("good",)
    with pytest.raises(JobValidationError, match="says no job id"):
        jobs.load("Fetch-Mail")


def test_checking_all_reports_every_mistake_in_every_file(folder: Path, write: Write) -> None:
    write("good.yaml")
    write("broken.yaml", text="a: [1")
    write("wrong.yaml", text="job_id: wrong\nversion: 2.0\nstps: []\n")
    write("old.yaml", version="2.1")
    write("old@2.0.yaml", text="job_id: old\nversion: '2.0'\nsteps: []\n")
    write("a/twice.yaml")
    write("b/twice.yaml")
    places = {str(problem.location).removeprefix(str(folder)) for problem in JobRegistry(folder).problems()}
    assert places == {
        "/broken.yaml:2:1",
        "/wrong.yaml:1:1",
        "/wrong.yaml:2:10",
        "/wrong.yaml:3:1",
        "/old@2.0.yaml:3:8",
        "/b/twice.yaml:1:1",
    }


def test_some_jobs_can_be_checked_alone_in_all_their_versions(folder: Path, write: Write) -> None:
    write("broken.yaml", text="a: [1")
    write("good.yaml", version="2.1")
    write("old.yaml", version="2.1")
    write("old@2.0.yaml", text="job_id: old\nversion: '2.0'\nsteps: []\n")
    write("Bad-Name.yaml")
    jobs = JobRegistry(folder)
    assert jobs.problems(["good"]) == ()
    assert [str(problem.location).rpartition("/")[2] for problem in jobs.problems(["old", "good"])] == [
        "old@2.0.yaml:3:8"
    ]
    with pytest.raises(JobNotFoundError, match=r"did you mean 'good'\?"):
        jobs.problems(["goood"])


def test_a_list_shows_each_job_and_tolerates_broken_ones(folder: Path, write: Write) -> None:
    path = write(
        "full.yaml",
        text="job_id: full\nversion: 2.10\ndescription: Fetch mail\ntags: [daily, mail]\nsteps: [{}, {}]\nextra: 1\n",
    )
    write("broken.yaml", text="a: [1")
    write("strange.yaml", text="description: 5\ntags: daily\nsteps: none\n")
    write("list.yaml", text="- a\n")
    write("a/twice.yaml")
    write("b/twice.yaml")
    write("old@2.0.yaml")
    listed = {job.job_id: job for job in JobRegistry(folder).summaries()}
    assert list(listed) == ["broken", "full", "list", "strange", "twice"]
    assert listed["full"] == registry.JobSummary(
        job_id="full", path=path, version="2.10", description="Fetch mail", tags=("daily", "mail"), steps=2
    )
    assert "the list in [ ]" in str(listed["broken"].problems[0])
    assert "is in 2 files" in str(listed["twice"].problems[0])
    assert (listed["strange"].version, listed["strange"].description, listed["strange"].steps) == (None, None, 0)
    assert (listed["list"].problems, listed["list"].problem) == ((), None)
    assert listed["full"].to_dict() == {
        "job_id": "full",
        "version": "2.10",
        "description": "Fetch mail",
        "tags": ["daily", "mail"],
        "steps": 2,
        "file": str(path),
        "built_in": False,
        "problems": [],
    }
    assert listed["broken"].to_dict()["problems"] == [listed["broken"].problem]


def test_the_names_of_errors_can_be_had_from_the_registry() -> None:
    assert registry.JobNotFoundError is JobNotFoundError
    assert registry.JobValidationError is JobValidationError
    assert all(hasattr(registry, name) for name in registry.__all__)


def accepts(model: TypeAdapter[str], text: str) -> bool:
    try:
        model.validate_python(text)
    except ValidationError:
        return False
    return True


JOB_ID: TypeAdapter[str] = TypeAdapter(JobId)
VERSION: TypeAdapter[str] = TypeAdapter(Version)
LIKE_A_NAME = st.text("aZ09_.@-é\n", max_size=8) | st.just("a" * 128) | st.just("a" * 129)


@given(LIKE_A_NAME, LIKE_A_NAME | st.from_regex(r"[0-9]{1,2}\.[0-9]{1,2}", fullmatch=True))
def test_file_names_have_the_grammar_of_the_models(job_id: str, version: str) -> None:
    assert bool(definition_files.NAME.fullmatch(job_id)) == accepts(JOB_ID, job_id) or "@" in job_id
    named = definition_files.NAME.fullmatch(f"a@{version}")
    assert bool(named) == accepts(VERSION, version)
