"""What a model cannot say of a pipeline: its names are those of jobs and pipelines, each once, and it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lorchestra.definitions.yaml_scalar import quoted
from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import JobValidationError, Path, Problem, did_you_mean
from lorchestra.pipelines.files import Look, is_entry
from lorchestra.schemas.pipeline import is_pipeline, name_of


def problems_of(name: str, source: Source, look: Look) -> tuple[Problem, ...]:
    """Every such mistake, located. What the model refuses (a mapping for a list) is passed over here."""
    found = (*_wrong_id(name, source), *_same_stages(source), *_wrong_entries(name, source, look))
    return tuple(problem.at(source.locate(problem.path)) for problem in found)


def parts_of(name: str, look: Look) -> tuple[str, ...]:
    """The pipelines that one runs, as far as its file can be read."""
    try:
        source = look.source(name)
    except JobValidationError:
        # Among the mistakes of that file.
        return ()
    ids = [look.job_id_of(entry) for _, entry in _entries(source)]
    return tuple(dict.fromkeys(name_of(job_id) for job_id in ids if job_id and is_pipeline(job_id)))


def _wrong_id(name: str, source: Source) -> Iterator[Problem]:
    value = source.value.get("pipeline_id") if isinstance(source.value, Mapping) else None
    if isinstance(value, str) and name_of(value) != name:
        yield Problem(
            found=f"found the pipeline_id {quoted(value)}",
            expected=f"expected '{name}', as the file is named",
            path=("pipeline_id",),
        )


def _same_stages(source: Source) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, stage in _stages(source):
        if isinstance(name := stage.get("name"), str):
            if name in first:
                line = source.locate(("stages", first[name], "name")).line
                yield Problem(
                    found=f"the stage {quoted(name)} is there twice (first at line {line})",
                    expected="expected each name once",
                    path=("stages", index, "name"),
                )
            first.setdefault(name, index)


def _wrong_entries(name: str, source: Source, look: Look) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path, entry in _entries(source):
        if not is_entry(entry):
            # The model says so.
            continue
        job_id = look.job_id_of(entry)
        if name_of(entry) in first:
            line = source.locate(first[name_of(entry)]).line
            yield Problem(
                found=f"{quoted(entry)} is there twice (first at line {line})",
                expected="expected each job and each pipeline once",
                path=path,
            )
        elif job_id is None:
            named = quoted(name_of(entry))
            yield Problem(
                found=f"no pipeline is named {named}" if is_pipeline(entry) else f"no job or pipeline is named {named}",
                expected="expected one that there is",
                hint=did_you_mean(name_of(entry), look.names if is_pipeline(entry) else look.entry_names),
                path=path,
            )
        elif is_pipeline(job_id) and (way := _way(name_of(job_id), name, look, set())):
            yield Problem(
                found=f"the pipeline '{name}' runs itself: {' -> '.join((name, *way))}",
                expected="expected pipelines that form no circle",
                path=path,
            )
        first.setdefault(name_of(entry), path)


def _way(start: str, end: str, look: Look, seen: set[str]) -> tuple[str, ...]:
    """The pipelines that lead from one to another, both named; nothing where no way does."""
    if start == end:
        return (end,)
    seen.add(start)
    for part in parts_of(start, look):
        if part not in seen and (way := _way(part, end, look, seen)):
            return (start, *way)
    return ()


def _stages(source: Source) -> Iterator[tuple[int, Mapping[str, object]]]:
    stages = source.value.get("stages") if isinstance(source.value, Mapping) else None
    for index, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, Mapping):
            yield index, stage


def _entries(source: Source) -> Iterator[tuple[Path, str]]:
    for index, stage in _stages(source):
        jobs = stage.get("jobs")
        for number, entry in enumerate(jobs if isinstance(jobs, list) else ()):
            if isinstance(entry, str):
                yield ("stages", index, "jobs", number), entry


def without_place(problem: Problem) -> Problem:
    """Of a pipeline that is in no file: where in the value it stands is told by its path."""
    return replace(problem, location=None)
