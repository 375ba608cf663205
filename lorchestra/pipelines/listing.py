"""What a run of a pipeline would do, job by job: made from the dry run of the job that it runs as. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lorchestra.pipelines.tree import Leaf, Pipeline

_PLACES = ("root", "path", "folder", "spreadsheet_id", "sheet", "view", "table")
"""The params of a callable that say where what it yields goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    job_id: str
    stage: str
    path: tuple[str, ...]
    """The steps that lead to it, from the pipeline inward."""
    is_left_out: bool
    version: str | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "job_id": self.job_id,
            "stage": self.stage,
            "path": list(self.path),
            "left_out": self.is_left_out,
            "version": self.version,
            "reads": list(self.reads),
            "writes": list(self.writes),
        }


def planned_jobs(pipeline: Pipeline, preview: Mapping[str, Any], leave_out: Collection[str]) -> tuple[PlannedJob, ...]:
    return tuple(_planned(leaf, preview, leave_out) for leaf in pipeline.leaves())


def _planned(leaf: Leaf, preview: Mapping[str, Any], leave_out: Collection[str]) -> PlannedJob:
    if leaf.is_left_out(leave_out):
        return PlannedJob(job_id=leaf.job_id, stage=leaf.stage, path=leaf.path, is_left_out=True)
    job = preview
    for step_id in leaf.path:
        job = next(step["child"] for step in job["steps"] if step["step_id"] == step_id)
    return PlannedJob(
        job_id=leaf.job_id,
        stage=leaf.stage,
        path=leaf.path,
        is_left_out=False,
        version=job["version"],
        reads=tuple(dict.fromkeys(_reads(job))),
        writes=tuple(dict.fromkeys(_writes(job))),
    )


def _steps(job: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those that would run, of the jobs that it runs too."""
    for step in job["steps"]:
        if not step["skipped"]:
            yield step
            if "steps" in step.get("child", {}):
                yield from _steps(step["child"]) if isinstance(step["child"]["steps"], list) else ()


def _reads(job: Mapping[str, Any]) -> Iterator[str]:
    for step in _steps(job):
        params = step["params"]
        if step["op"] != "call":
            continue
        if isinstance(connection := params.get("connection"), str):
            yield f"connection {connection}"
        for named in (step.get("reads"), params.get("source")):
            if isinstance(named, Mapping) and "table" in named:
                yield _table(named)


def _writes(job: Mapping[str, Any]) -> Iterator[str]:
    given = {f"@run.{step['step_id']}.items": step["params"] for step in _steps(job)}
    for step in _steps(job):
        if writes := step.get("writes"):
            # What has no table is written where the params of the step say whose items it takes.
            place = _table(writes) if "table" in writes else _place(given.get(str(step["params"].get("items")), {}))
            yield f"{place} ({writes['method']})" if place else str(writes["method"])


def _table(named: Mapping[str, Any]) -> str:
    return f"{named.get('dataset', '')}.{named['table']}".strip(".")


def _place(params: Mapping[str, Any]) -> str:
    said = [params.get(name) for name in _PLACES]
    return "/".join(part for part in said if isinstance(part, str) and not part.startswith("@"))
