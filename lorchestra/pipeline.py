"""Pipelines, for programs: load one, see what it would do, run it, go on with it.

`spec` is the name of a pipeline (`daily_all` or `pipeline.daily_all`), the path of a file, a PipelineDef, or a mapping
of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from lorchestra import envelopes
from lorchestra.api import Options
from lorchestra.errors import DefinitionError, EnvelopeError, Problem
from lorchestra.handlers.registry import HandlerRegistry
from lorchestra.pipelines import registry
from lorchestra.pipelines.files import Given as GivenPipeline
from lorchestra.pipelines.listing import PlannedJob, planned_jobs
from lorchestra.pipelines.result import JobOutcome, PipelineResult, finished_jobs, result_of
from lorchestra.pipelines.selection import Selection, leave_out
from lorchestra.pipelines.tree import Leaf, Pipeline
from lorchestra.preview import preview
from lorchestra.registry import JobRegistry
from lorchestra.result import ExecutionResult
from lorchestra.run_store.protocol import RunStore
from lorchestra.schemas import Envelope, PipelineDef
from lorchestra.schemas.pipeline import PREFIX, is_pipeline, name_of
from lorchestra.workspace import SERVICES, Given, Workspace

__all__ = [
    "JobOutcome",
    "PipelineResult",
    "PlannedJob",
    "load_pipeline",
    "plan_pipeline",
    "resume_pipeline",
    "run_pipeline",
]

Planned: TypeAlias = Callable[[tuple[Leaf, ...]], None]
"""Told, before anything is run, the jobs that will be."""
Spec: TypeAlias = str | Path | PipelineDef | Mapping[str, Any]


class PipelineOptions(Options, total=False):
    """What may be said beside a pipeline; live objects in place of the project's own stay the caller's to close."""

    registry: JobRegistry | None
    store: RunStore | None
    handlers: HandlerRegistry | None


def load_pipeline(spec: Spec, definitions_dir: str | Path | None = None, *, profile: str | None = None) -> PipelineDef:
    """The definition, checked with everything that it runs.

    Raises PipelineNotFound, or JobValidationError with every mistake of it and of the pipelines that it runs.
    """
    name, given = _find(spec)
    with _open(given, definitions_dir, profile=profile) as workspace:
        return workspace.pipelines.definition(name)


def run_pipeline(
    spec: Spec,
    smoke_namespace: str | None = None,
    definitions_dir: str | Path | None = None,
    *,
    read_from: str | None = None,
    ctx: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    start: str | None = None,
    skip: Sequence[str] = (),
    resume: bool = False,
    accept_changes: bool = False,
    planned: Planned | None = None,
    **options: Unpack[PipelineOptions],
) -> PipelineResult:
    """Run a pipeline in the project that the working directory lies in; its jobs one after another.

    Each job is given `ctx` and `payload`. `only`, `start` and `skip` name jobs, stages or pipelines of it. With
    `resume` its last run is continued, when that did not finish. A run that fails is a result; what keeps it from
    starting is an exception, as with `execute`.
    """
    name, given = _find(spec)
    with _open(given, definitions_dir, **options) as workspace:
        pipeline = workspace.pipelines.load(name)
        request = _request(
            pipeline,
            Selection(only=only, start=start, skip=skip),
            smoke_namespace=smoke_namespace,
            read_from=read_from,
            ctx=ctx or {},
            payload=payload or {},
        )
        unfinished = workspace.last_unfinished(pipeline.job_id, request.namespace) if resume else None
        if unfinished is None:
            _tell(planned, pipeline, request.leave_out)
            return _result(workspace, workspace.execute(request), pipeline, request.leave_out)
        if request.leave_out or request.ctx or request.payload:
            raise EnvelopeError(
                Problem(
                    found=f"a selection, a payload or ctx was given, and run {unfinished} is to be resumed",
                    expected="a run is resumed with what it was started with",
                    hint="leave them out, or start a new run without --resume",
                )
            )
        return _resumed(workspace, unfinished, accept_changes=accept_changes, planned=planned)


def resume_pipeline(
    run_id: str,
    definitions_dir: str | Path | None = None,
    *,
    accept_changes: bool = False,
    planned: Planned | None = None,
    **options: Unpack[PipelineOptions],
) -> PipelineResult:
    """Continue a run of a pipeline that failed, was cancelled or interrupted; the id may be cut short."""
    with _open(None, definitions_dir, **options) as workspace:
        return _resumed(workspace, run_id, accept_changes=accept_changes, planned=planned)


def plan_pipeline(
    spec: Spec,
    smoke_namespace: str | None = None,
    definitions_dir: str | Path | None = None,
    *,
    read_from: str | None = None,
    ctx: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    start: str | None = None,
    skip: Sequence[str] = (),
    profile: str | None = None,
) -> tuple[PlannedJob, ...]:
    """Every job that a run would run, in order, and what each would read and write. Nothing is done or recorded."""
    name, given = _find(spec)
    with _open(given, definitions_dir, profile=profile) as workspace:
        pipeline = workspace.pipelines.load(name)
        request = _request(
            pipeline,
            Selection(only=only, start=start, skip=skip),
            smoke_namespace=smoke_namespace,
            read_from=read_from,
            ctx=ctx or {},
            payload=payload or {},
        )
        shown = preview(workspace, request).preview
        assert shown is not None, "a dry run shows something"
        return planned_jobs(pipeline, shown, request.leave_out)


def _find(spec: Spec) -> tuple[str, GivenPipeline | None]:
    """The name of the pipeline; and the pipeline itself, when it was handed over."""
    if isinstance(spec, str):
        if "/" not in spec and not spec.endswith((".yaml", ".yml")):
            return name_of(spec), None
        spec = Path(spec)
    given = registry.given(spec)
    return given.name, given


def _open(
    pipeline: GivenPipeline | None, definitions_dir: str | Path | None, **options: Unpack[PipelineOptions]
) -> Workspace:
    services: dict[str, Any] = {name: options.pop(name) for name in SERVICES if name in options}  # type: ignore[misc]  # its own keys
    folder = Path(definitions_dir) if definitions_dir else None
    return Workspace.open(definitions_dir=folder, given=Given(pipeline=pipeline, **services), **options)


def _request(pipeline: Pipeline, selection: Selection, **asked: Any) -> Envelope:
    left_out = leave_out(pipeline, selection) if selection else ()
    return envelopes.read({"job_id": pipeline.job_id, "leave_out": left_out, **asked})


def _resumed(workspace: Workspace, run_id: str, *, accept_changes: bool, planned: Planned | None) -> PipelineResult:
    record = workspace.history.get(workspace.history.find(run_id))
    if not is_pipeline(record.job_id):
        raise DefinitionError(
            Problem(
                found=f"run {record.run_id} is one of the job '{record.job_id}'",
                expected=f"expected a run of a pipeline, whose job id begins with '{PREFIX}'",
            )
        )
    pipeline, left_out = workspace.pipelines.load(record.job_id), record.envelope.leave_out
    _tell(planned, pipeline, left_out, done=finished_jobs(pipeline, record.run_id, workspace.history))
    return _result(workspace, workspace.resume(run_id, accept_changes=accept_changes), pipeline, left_out)


def _tell(
    planned: Planned | None, pipeline: Pipeline, left_out: Collection[str], *, done: Collection[Leaf] = ()
) -> None:
    if planned is not None:
        planned(tuple(leaf for leaf in pipeline.leaves() if leaf not in done and not leaf.is_left_out(left_out)))


def _result(workspace: Workspace, run: ExecutionResult, pipeline: Pipeline, left_out: Sequence[str]) -> PipelineResult:
    return result_of(run, pipeline, store=workspace.store, leave_out=left_out)
