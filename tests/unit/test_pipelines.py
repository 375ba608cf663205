"""Pipelines as files: found by name, checked with all their mistakes, made into jobs, and selected from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorchestra.compiler import compile_job, leave_out
from lorchestra.errors import EnvelopeError, JobNotFoundError, JobValidationError, PipelineNotFound
from lorchestra.pipelines import job, registry, selection
from lorchestra.pipelines.catalog import Catalog
from lorchestra.pipelines.registry import PipelineRegistry
from lorchestra.pipelines.selection import Selection
from lorchestra.pipelines.tree import Entry, Pipeline
from lorchestra.registry import JobRegistry
from lorchestra.schemas import PipelineDef

ONE_STEP = "version: '2.0'\nsteps:\n- {step_id: only, op: call, params: {callable: noop}}\n"


class Files:
    """A project's folder, and one of built-in content."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("own/jobs", "built_in/jobs"):
            (root / name).mkdir(parents=True)

    def jobs(self, *job_ids: str, layer: str = "own") -> Files:
        for job_id in job_ids:
            self.write(f"{layer}/jobs/{job_id}.yaml", f"job_id: {job_id}\n{ONE_STEP}")
        return self

    def pipeline(self, name: str, *stages: str, layer: str = "own", head: str = "") -> Path:
        text = f"pipeline_id: {name}\n{head}stages:\n" + "".join(f"- {stage}\n" for stage in stages)
        return self.write(f"{layer}/pipelines/{name}.yaml", text)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def job_registry(self) -> JobRegistry:
        return JobRegistry(self.root / "own" / "jobs", built_in=self.root / "built_in" / "jobs")

    @property
    def registry(self) -> PipelineRegistry:
        own, built_in = (self.root / layer for layer in ("own", "built_in"))
        return PipelineRegistry(
            self.job_registry, own / "pipelines", own / "jobs" / "pipeline", built_in=(built_in / "pipelines",)
        )

    def mistakes(self, name: str) -> list[str]:
        """What is wrong with a pipeline, each as `file:line:column: ...`."""
        with pytest.raises(JobValidationError) as refused:
            self.registry.load(name)
        return [str(problem).replace(f"{self.root}/own/pipelines/", "") for problem in refused.value.problems]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def job_ids(files: Files, name: str) -> list[str]:
    return [leaf.job_id for leaf in files.registry.load(name).leaves()]


# Finding


def test_a_pipeline_is_known_with_and_without_its_prefix_and_runs_what_it_lists_in_order(files: Files) -> None:
    files.jobs("b", "a", "c")
    files.pipeline("part", "{name: inner, jobs: [c]}")
    files.pipeline("day", "{name: first, jobs: [b, pipeline.part]}", "{name: second, jobs: [a]}")
    assert files.registry.load("pipeline.day") == files.registry.load("day")
    leaves = files.registry.load("day").leaves()
    assert [(leaf.job_id, leaf.stage, leaf.path) for leaf in leaves] == [
        ("b", "first", ("b",)),
        ("c", "first/inner", ("part", "c")),
        ("a", "second", ("a",)),
    ]


def test_pipelines_are_found_among_the_job_definitions_too_and_are_no_jobs_there(files: Files) -> None:
    files.jobs("a")
    path = files.write(
        "own/jobs/pipeline/pipeline.day.yaml", "pipeline_id: pipeline.day\nstages: [{name: all, jobs: [a]}]\n"
    )
    assert files.registry.list_pipelines() == ("day",)
    assert files.registry.path_of("day") == path
    assert files.job_registry.list_jobs() == ("a",)


def test_a_name_means_a_job_where_there_is_one_and_the_projects_own_before_what_is_built_in(files: Files) -> None:
    files.jobs("both").jobs("sync", "both", layer="built_in")
    files.pipeline("both", "{name: all, jobs: [sync]}")
    files.pipeline("sync", "{name: all, jobs: [both]}")
    files.pipeline("day", "{name: all, jobs: [both, sync]}")
    day = files.registry.load("day")
    assert [entry.job_id for entry in day.entries] == ["both", "pipeline.sync"]
    assert files.job_registry.is_built_in("sync")
    assert not files.job_registry.is_built_in("both")


def test_a_projects_own_pipeline_replaces_a_built_in_one_also_where_built_in_ones_run_it(files: Files) -> None:
    files.jobs("mine").jobs("theirs", layer="built_in")
    files.pipeline("ingest", "{name: all, jobs: [theirs]}", layer="built_in")
    files.pipeline("day", "{name: all, jobs: [ingest]}", layer="built_in")
    assert job_ids(files, "day") == ["theirs"]
    files.pipeline("ingest", "{name: all, jobs: [mine, theirs]}")
    assert job_ids(files, "day") == ["mine", "theirs"]
    assert [(s.pipeline_id, s.is_built_in, s.jobs) for s in files.registry.summaries()] == [
        ("day", True, 2),
        ("ingest", False, 2),
    ]
    assert files.registry.list_pipelines() == ("ingest",)


def test_mistakes_of_built_in_pipelines_are_not_the_projects(files: Files) -> None:
    files.pipeline("broken", "{name: all, jobs: [nobody]}", layer="built_in")
    assert files.registry.problems() == ()
    assert [summary.problems != () for summary in files.registry.summaries()] == [True]
    with pytest.raises(JobValidationError, match=r"built_in/pipelines/broken\.yaml:3:22: no job or pipeline is named"):
        files.registry.load("broken")


def test_an_unknown_pipeline_is_told_with_the_nearest_name(files: Files) -> None:
    files.jobs("visits")
    files.pipeline("daily", "{name: all, jobs: [visits]}")
    with pytest.raises(PipelineNotFound, match=r"no pipeline is named 'dayly'; known: daily; did you mean 'daily'\?"):
        files.registry.load("dayly")
    with pytest.raises(PipelineNotFound, match="there is a job 'visits': `lorchestra exec job visits`"):
        files.registry.load("visits")


def test_a_pipeline_in_two_files_is_refused(files: Files) -> None:
    files.jobs("a")
    files.pipeline("day", "{name: all, jobs: [a]}")
    files.write("own/jobs/pipeline/day.yaml", "pipeline_id: day\nstages: [{name: all, jobs: [a]}]\n")
    with pytest.raises(JobValidationError, match="'day' is in 2 files"):
        files.registry.load("day")
    assert ["is in 2 files" in str(problem) for problem in files.registry.problems()] == [True]


# Mistakes


def test_every_mistake_of_a_pipeline_is_told_at_its_place(files: Files) -> None:
    files.jobs("fetch", "store")
    files.write(
        "own/pipelines/day.yaml",
        """\
pipeline_id: night
stop_on_failure: maybe
stages:
- name: first
  jobs: [fetch, fetsh, pipeline.none]
- name: second
  jobs: []
- name: first
  jobs: [fetch, Store]
- name: third
  job: [store]
""",
    )
    assert files.mistakes("day") == [
        "day.yaml:1:14: found the pipeline_id 'night'; expected 'day', as the file is named",
        "day.yaml:2:18: found the text 'maybe'; expected true or false",
        "day.yaml:5:17: no job or pipeline is named 'fetsh'; expected one that there is; did you mean 'fetch'?",
        "day.yaml:5:24: no pipeline is named 'none'; expected one that there is",
        "day.yaml:7:9: found an empty list; expected 1 or more in it",
        "day.yaml:8:9: the stage 'first' is there twice (first at line 4); expected each name once",
        "day.yaml:9:10: 'fetch' is there twice (first at line 5); expected each job and each pipeline once",
        "day.yaml:9:17: found the text 'Store'; expected the name of a job, or that of a pipeline after 'pipeline.';"
        " did you mean 'store'?",
        "day.yaml:10:3: the key 'jobs' is missing; expected `jobs:` with a list",
        "day.yaml:11:3: unknown key 'job'; expected one of name, jobs; did you mean 'jobs'?",
    ]


def test_pipelines_that_form_a_circle_are_refused_with_the_way_round(files: Files) -> None:
    files.jobs("work")
    files.pipeline("a", "{name: all, jobs: [work, b]}")
    files.pipeline("b", "{name: all, jobs: [pipeline.c]}")
    files.pipeline("c", "{name: all, jobs: [a]}")
    files.pipeline("itself", "{name: all, jobs: [itself]}")
    files.pipeline("outside", "{name: all, jobs: [b]}")
    round_ = [
        "a.yaml:3:28: the pipeline 'a' runs itself: a -> b -> c -> a; expected pipelines that form no circle",
        "b.yaml:3:22: the pipeline 'b' runs itself: b -> c -> a -> b; expected pipelines that form no circle",
        "c.yaml:3:22: the pipeline 'c' runs itself: c -> a -> b -> c; expected pipelines that form no circle",
    ]
    for name in ("a", "outside"):
        assert files.mistakes(name) == round_
    assert files.mistakes("itself")[0].startswith("itself.yaml:3:22: the pipeline 'itself' runs itself: itself -> ")
    assert len(files.registry.problems()) == 4


def test_a_mistake_in_a_part_is_one_of_the_whole(files: Files) -> None:
    files.jobs("work")
    files.pipeline("part", "{name: all, jobs: [wrok]}")
    files.pipeline("day", "{name: all, jobs: [part, work]}")
    assert files.mistakes("day") == [
        "part.yaml:3:22: no job or pipeline is named 'wrok'; expected one that there is; did you mean 'work'?"
    ]


@pytest.mark.parametrize("text", ["", "- a\n", "stages: 5\n", "stages: [5, {jobs: {}}]\n", "pipeline_id: [\n"])
def test_a_file_that_is_no_pipeline_is_refused_and_hides_no_other(files: Files, text: str) -> None:
    files.jobs("work")
    files.write("own/pipelines/strange.yaml", text)
    files.pipeline("day", "{name: all, jobs: [work]}")
    assert files.mistakes("strange")
    assert [bool(summary.problems) for summary in files.registry.summaries()] == [False, True]
    assert job_ids(files, "day") == ["work"]


def test_a_file_whose_name_says_no_pipeline_is_reported(files: Files) -> None:
    files.write("own/pipelines/Daily All.yaml", "pipeline_id: daily_all\n")
    assert "the file name 'Daily All.yaml' says no pipeline" in str(files.registry.problems()[0])


def test_a_pipeline_may_be_handed_over_as_a_value(files: Files) -> None:
    files.jobs("work")
    files.pipeline("part", "{name: all, jobs: [work]}")
    value: dict[str, Any] = {"pipeline_id": "pipeline.trial", "stages": [{"name": "all", "jobs": ["part"]}]}
    for spec in (value, PipelineDef.model_validate(value)):
        held = PipelineRegistry(files.job_registry, files.root / "own" / "pipelines", given=registry.given(spec))
        assert [leaf.job_id for leaf in held.load("trial").leaves()] == ["work"]
        assert held.path_of("trial") is None
    with pytest.raises(JobValidationError, match="found a value that is no JSON"):
        registry.given({**value, "stages": {1, 2}})
    wrong = registry.given({**value, "stages": [{"name": "all", "jobs": ["prat"]}]})
    with pytest.raises(JobValidationError, match=r"^/stages/0/jobs/0: no job or pipeline is named 'prat'"):
        PipelineRegistry(files.job_registry, given=wrong).load("trial")


# The job


def test_a_pipeline_is_a_job_with_a_step_for_each_entry(files: Files) -> None:
    long = "x" * 100
    files.jobs("fetch", long)
    files.pipeline("part", "{name: all, jobs: [fetch]}")
    files.pipeline("day", f"{{name: one, jobs: [fetch, part, {long}]}}", head="stop_on_failure: false\n")
    catalog = Catalog(files.job_registry, files.registry)
    made = catalog.load("pipeline.day")
    assert [(step.params["job_id"], step.phase_id, step.continue_on_error) for step in made.steps] == [
        ("fetch", "one", True),
        ("pipeline.part", "one", True),
        (long, "one", True),
    ]
    assert [len(step.step_id) for step in made.steps] == [5, 4, 64]
    assert made.sha256() == catalog.load("pipeline.day", "2.0").sha256()
    assert catalog.versions("pipeline.day") == (job.VERSION,)
    assert not any(step.continue_on_error for step in catalog.load("pipeline.part").steps)
    assert catalog.load("fetch").job_id == "fetch"
    with pytest.raises(JobNotFoundError, match=r"no definition of 'pipeline.day@2.1'"):
        catalog.load("pipeline.day", "2.1")


# Selections


@pytest.fixture
def day(files: Files) -> Files:
    files.jobs("mail", "forms", "check", "score", "view")
    files.pipeline("ingest", "{name: mail, jobs: [mail]}", "{name: forms, jobs: [forms]}")
    files.pipeline("canonize", "{name: all, jobs: [check, score]}")
    files.pipeline(
        "day", "{name: in, jobs: [ingest]}", "{name: form, jobs: [pipeline.canonize]}", "{name: out, jobs: [view]}"
    )
    return files


@pytest.mark.parametrize(
    ("selected", "left"),
    [
        (Selection(only=["score"]), ["score"]),
        (Selection(only=["in", "view"]), ["mail", "forms", "view"]),
        (Selection(only=["pipeline.canonize"]), ["check", "score"]),
        (Selection(start="forms"), ["forms", "check", "score", "view"]),
        (Selection(start="form"), ["check", "score", "view"]),
        (Selection(skip=["canonize", "forms"]), ["mail", "view"]),
        (Selection(start="ingest", skip=["out"]), ["mail", "forms", "check", "score"]),
        (Selection(only=["mail", "check", "view"], start="forms", skip=["view"]), ["check"]),
        (Selection(skip=["mail"]), ["forms", "check", "score", "view"]),
    ],
)
def test_a_selection_names_jobs_stages_and_pipelines(day: Files, selected: Selection, left: list[str]) -> None:
    pipeline = day.registry.load("day")
    names = selection.leave_out(pipeline, selected)
    assert [leaf.job_id for leaf in pipeline.leaves() if not leaf.is_left_out(names)] == left
    assert _steps_that_run(day, "pipeline.day", names) == left


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> Pipeline:
    """Pipelines in pipelines; names differ within each, and may be the same in several."""
    names = draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True))
    entries = []
    for name in names:
        part = draw(trees(depth - 1)) if depth and draw(st.booleans()) else None
        entries.append(Entry(step_id=name, stage="all", job_id=part.job_id if part else name, pipeline=part))
    return Pipeline(name=draw(st.sampled_from("xyz")), entries=tuple(entries))


@given(trees(), st.data())
@settings(max_examples=40)
def test_what_is_left_out_is_exactly_what_was_not_asked_for(pipeline: Pipeline, data: st.DataObject) -> None:
    leaves = pipeline.leaves()
    start = data.draw(st.sampled_from([None, *(leaf.job_id for leaf in leaves)]))
    only = data.draw(st.lists(st.sampled_from([leaf.job_id for leaf in leaves]), max_size=2))
    first = next((index for index, leaf in enumerate(leaves) if leaf.job_id == start), 0)
    expected = [leaf for leaf in leaves[first:] if not only or leaf.job_id in only]
    try:
        names = selection.leave_out(pipeline, Selection(only=only, start=start))
    except EnvelopeError:
        assert expected == []
        return
    assert [leaf for leaf in leaves if not leaf.is_left_out(names)] == expected


def test_names_of_nothing_and_a_selection_of_nothing_are_refused(day: Files) -> None:
    pipeline = day.registry.load("day")
    with pytest.raises(EnvelopeError) as refused:
        selection.leave_out(pipeline, Selection(only=["scor"], start="nowhere", skip=["pipeline.mail"]))
    told = [str(problem) for problem in refused.value.problems]
    assert [text.split(" is no job")[0] for text in told] == [
        "only: 'scor'",
        "from: 'nowhere'",
        "skip: 'pipeline.mail'",
    ]
    assert told[0].endswith("did you mean 'score'?")
    with pytest.raises(EnvelopeError, match="of 'day' no job is left"):
        selection.leave_out(pipeline, Selection(only=["view"], skip=["out"]))


def test_what_is_left_out_has_to_be_a_step(day: Files) -> None:
    made = Catalog(day.job_registry, day.registry).load("pipeline.canonize")
    with pytest.raises(EnvelopeError) as refused:
        leave_out(made, ["chekc", "score.deeper", "score"])
    assert [problem.found for problem in refused.value.problems] == [
        "'chekc' is to be left out, and is no step of 'pipeline.canonize'"
    ]
    plain = day.job_registry.load("score")
    with pytest.raises(EnvelopeError, match=r"'only\.deeper' is to be left out, and 'only' runs no job"):
        leave_out(plain, ["only.deeper"])


def _steps_that_run(files: Files, job_id: str, names: Sequence[str]) -> list[str]:
    """The jobs that running a pipeline would come to, as the executor goes about it."""
    catalog = Catalog(files.job_registry, files.registry)
    made = compile_job(leave_out(catalog.load(job_id), names))
    found: list[str] = []
    for step in made.steps:
        child = str(step.params.get("job_id"))
        if step.compiled_skip:
            continue
        if child.startswith("pipeline."):
            found += _steps_that_run(files, child, step.params.get("leave_out", ()))
        else:
            found.append(child)
    return found
