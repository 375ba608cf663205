"""Finds pipelines by name, in the project's folders and then among those built in, and loads them with all they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lorchestra.definitions import validation, yaml_source
from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import JobValidationError, Problem
from lorchestra.json_value import sha256
from lorchestra.pipelines import checks
from lorchestra.pipelines.files import Given, Look
from lorchestra.pipelines.tree import Entry, Pipeline
from lorchestra.registry import JobRegistry
from lorchestra.schemas.pipeline import PipelineDef, is_pipeline, name_of

_STEP_ID_MAX = 64
_SUFFIX = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSummary:
    """A pipeline as a list shows it. Of one with mistakes there are only the name, the path and the problems."""

    pipeline_id: str
    path: Path | None
    is_built_in: bool
    description: str | None = None
    stages: int = 0
    jobs: int = 0
    problems: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, object]:
        return {
            "pipeline_id": self.pipeline_id,
            "description": self.description,
            "stages": self.stages,
            "jobs": self.jobs,
            "file": None if self.path is None else str(self.path),
            "built_in": self.is_built_in,
            "problems": [str(problem) for problem in self.problems],
        }


class PipelineRegistry:
    """The pipelines below the project's `folders`, which win by name, and those `built_in`.

    Folders are looked through anew for each question. A folder that is not there holds none.
    """

    def __init__(
        self, jobs: JobRegistry, *folders: Path, built_in: Sequence[Path] = (), given: Given | None = None
    ) -> None:
        self._jobs = jobs
        self._folders = folders
        self._built_in = tuple(built_in)
        self._given = given

    def list_pipelines(self) -> tuple[str, ...]:
        """The names of the project's own, sorted."""
        return tuple(sorted(self._look().own_names))

    def has(self, name: str) -> bool:
        """Whether there is a pipeline of this name, with mistakes or without."""
        return name_of(name) in self._look().names

    def load(self, name: str) -> Pipeline:
        """The pipeline (`daily_all` or `pipeline.daily_all`), and all that it runs.

        Raises PipelineNotFound, or JobValidationError with every mistake of it and of the pipelines that it runs.
        """
        look = self._look()
        _require_valid(name_of(name), look)
        return _tree(name_of(name), look)

    def definition(self, name: str) -> PipelineDef:
        """The pipeline as it is written. Raises like `load`."""
        look = self._look()
        _require_valid(name_of(name), look)
        return _valid(name_of(name), look)

    def path_of(self, name: str) -> Path | None:
        """The file; None of a pipeline that is in no file. Raises like `load` for one that is not there."""
        return self._look().path_of(name_of(name))

    def source_of(self, name: str) -> Source:
        return self._look().source(name_of(name))

    def summaries(self) -> tuple[PipelineSummary, ...]:
        """All pipelines, also those that are built in; a broken one does not hide the others."""
        look = self._look()
        return tuple(_summary(name, look) for name in sorted(look.names))

    def problems(self, names: Iterable[str] | None = None) -> tuple[Problem, ...]:
        """Every mistake in the files of these pipelines; without names, of the project's own.

        Raises PipelineNotFound.
        """
        look = self._look()
        if names is None:
            chosen = sorted(look.own_names)
            found = list(look.own.problems())
        else:
            chosen, found = [name_of(name) for name in names], []
        for name in chosen:
            found += _read(name, look)[1]
        return tuple(dict.fromkeys(found))

    def _look(self) -> Look:
        return Look(self._jobs, folders=self._folders, built_in=self._built_in, given=self._given)


def given(spec: PipelineDef | Mapping[str, Any] | Path) -> Given:
    """A pipeline that a program hands over, as a value or as the path of a file. Raises JobValidationError."""
    if isinstance(spec, Path):
        return Given(name=name_of(spec.stem), source=yaml_source.read(spec), path=spec)
    value = spec.model_dump(mode="json") if isinstance(spec, PipelineDef) else dict(spec)
    name = value.get("pipeline_id")
    try:
        text = orjson.dumps(value)
    except TypeError:
        problem = Problem(found="found a value that is no JSON", expected="expected what a pipeline file may hold")
        raise JobValidationError(problem) from None
    source = yaml_source.parse(text, file="the pipeline")
    return Given(name=name_of(name) if isinstance(name, str) else "", source=source)


def _read(name: str, look: Look) -> tuple[PipelineDef | None, tuple[Problem, ...]]:
    """The definition, or what is wrong with it."""
    try:
        source = look.source(name)
        return validation.validate(PipelineDef, source, also=checks.problems_of(name, source, look)), ()
    except JobValidationError as error:
        return None, tuple(map(checks.without_place, error.problems)) if look.is_value(name) else error.problems


def _require_valid(name: str, look: Look) -> None:
    look.path_of(name)
    problems = [problem for one in _reached(name, look) for problem in _read(one, look)[1]]
    if problems:
        raise yaml_source.refusal(problems)


def _valid(name: str, look: Look) -> PipelineDef:
    definition, _ = _read(name, look)
    assert definition is not None, "a pipeline with mistakes was refused"
    return definition


def _reached(name: str, look: Look) -> Iterator[str]:
    """The pipeline, and those that it runs, each once."""
    seen = {name: None}
    waiting = [name]
    while waiting:
        for part in checks.parts_of(waiting.pop(), look):
            if part not in seen:
                seen[part] = None
                waiting.append(part)
    yield from seen


def _tree(name: str, look: Look) -> Pipeline:
    definition = _valid(name, look)
    entries = []
    for stage in definition.stages:
        for listed in stage.jobs:
            job_id = look.job_id_of(listed)
            assert job_id is not None, "a name that is not there was refused"
            part = _tree(name_of(job_id), look) if is_pipeline(job_id) else None
            entries.append(Entry(step_id=_step_id(name_of(listed)), stage=stage.name, job_id=job_id, pipeline=part))
    return Pipeline(
        name=name,
        entries=tuple(entries),
        description=definition.description,
        stop_on_failure=definition.stop_on_failure,
        path=look.path_of(name),
        is_built_in=look.is_built_in(name),
    )


def _step_id(name: str) -> str:
    """Names may be longer than the id of a step; what is cut off counts all the same."""
    if len(name) <= _STEP_ID_MAX:
        return name
    return f"{name[: _STEP_ID_MAX - _SUFFIX]}_{sha256(name)[: _SUFFIX - 1]}"


def _summary(name: str, look: Look) -> PipelineSummary:
    is_built_in = look.is_built_in(name)
    try:
        path = look.path_of(name)
    except JobValidationError as error:
        path = look.own.files[name][0]
        return PipelineSummary(pipeline_id=name, path=path, is_built_in=is_built_in, problems=error.problems)
    problems = tuple(problem for one in _reached(name, look) for problem in _read(one, look)[1])
    if problems:
        return PipelineSummary(pipeline_id=name, path=path, is_built_in=is_built_in, problems=problems)
    tree = _tree(name, look)
    return PipelineSummary(
        pipeline_id=name,
        path=path,
        is_built_in=is_built_in,
        description=tree.description,
        stages=len({entry.stage for entry in tree.entries}),
        jobs=len(tree.leaves()),
    )
