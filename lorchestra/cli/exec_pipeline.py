"""`lorchestra exec pipeline`: run the jobs of a pipeline one after another, or see what that would mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorchestra.cli import exit_codes, options, output, pipeline_report, run_report
from lorchestra.cli.options import (
    AcceptChanges,
    AsJson,
    Ctx,
    DefinitionsDir,
    KeepValues,
    Payload,
    PipelineName,
    ReadFrom,
    SmokeNamespace,
)
from lorchestra.cli.state import Finished, State
from lorchestra.cli.values import not_empty, read_object

if TYPE_CHECKING:
    from lorchestra.pipeline import PlannedJob

Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="Run this job, stage or pipeline of it, and no other; repeatable."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="NAME", callback=not_empty, help="Begin with this job, stage or pipeline."),
]
Skip = Annotated[
    list[str] | None,
    typer.Option("--skip", metavar="NAME", help="Leave this job, stage or pipeline out; repeatable."),
]


def pipeline(
    context: typer.Context,
    name: PipelineName,
    ctx: Ctx = None,
    payload: Payload = None,
    definitions_dir: DefinitionsDir = None,
    smoke_namespace: SmokeNamespace = None,
    read_from: ReadFrom = None,
    only: Only = None,
    start: From = None,
    skip: Skip = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List every job in order, and what it would read and write.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the pipeline's last run if that did not finish, else start one.")
    ] = False,
    accept_changes: AcceptChanges = False,
    keep_values: KeepValues = False,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline.

    Exits with 0 when every job completed, 1 when something was set aside or a job failed that may (partial), 2 when it
    failed, 130 or 143 when it was cancelled.

    Example: lorchestra exec pipeline daily_all --skip ingest
    """
    options.require_consistent(
        resume=resume,
        dry_run=dry_run,
        read_from=read_from,
        smoke_namespace=smoke_namespace,
        accept_changes=accept_changes,
    )
    # Imported here because `--help` must not pay for the executor.
    from lorchestra.pipeline import plan_pipeline, run_pipeline

    state: State = context.obj
    asked: dict[str, Any] = {
        "smoke_namespace": smoke_namespace,
        "definitions_dir": definitions_dir,
        "read_from": read_from and read_from.value,
        "ctx": read_object("--ctx", ctx or []),
        "payload": read_object("--payload", payload or []),
        "only": only or (),
        "start": start,
        "skip": skip or (),
    }
    if dry_run:
        _print_plan(plan_pipeline(name, **asked, profile=state.profile), as_json=as_json)
        raise Finished(exit_codes.COMPLETED)
    with (
        pipeline_report.progress(is_shown=not as_json, state=state) as shown,
        run_report.running(shown.state, keep_values=keep_values, observer=shown.observer) as live,
    ):
        result = run_pipeline(
            name,
            **asked,
            resume=resume,
            accept_changes=accept_changes,
            planned=shown.planned,
            **live.options,
        )
    pipeline_report.print_result(result, as_json=as_json)
    raise Finished(live.exit_code(result))


def _print_plan(planned: tuple[PlannedJob, ...], *, as_json: bool) -> None:
    if as_json:
        output.as_json([job.to_dict() for job in planned])
        return
    output.table(
        ("", "STAGE", "JOB", "READS", "WRITES"),
        (
            (
                "-" if job.is_left_out else number,
                job.stage,
                job.job_id,
                ", ".join(job.reads),
                "left out" if job.is_left_out else ", ".join(job.writes),
            )
            for number, job in _numbered(planned)
        ),
    )


def _numbered(planned: tuple[PlannedJob, ...]) -> list[tuple[int, PlannedJob]]:
    numbered, number = [], 0
    for job in planned:
        number += not job.is_left_out
        numbered.append((number, job))
    return numbered
