"""`lorchestra exec`: run a job or a pipeline, or see what running it would mean."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from lorchestra.cli import exec_pipeline, exit_codes, options, output, run_report
from lorchestra.cli.options import (
    AcceptChanges,
    AsJson,
    Ctx,
    DefinitionsDir,
    JobId,
    KeepValues,
    Payload,
    ReadFrom,
    SmokeNamespace,
    Version,
)
from lorchestra.cli.state import Finished, State
from lorchestra.cli.values import read_object

app = typer.Typer(
    help="Run jobs and pipelines, and see what they would do.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
run_app = typer.Typer(rich_markup_mode=None, add_completion=False)
app.command("pipeline")(exec_pipeline.pipeline)


class Format(StrEnum):
    YAML = "yaml"
    JSON = "json"


@run_app.command("run")
@app.command()
def job(
    context: typer.Context,
    job_id: JobId,
    ctx: Ctx = None,
    payload: Payload = None,
    version: Version = None,
    definitions_dir: DefinitionsDir = None,
    smoke_namespace: SmokeNamespace = None,
    read_from: ReadFrom = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what each step would be asked to do.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the job's last run if that did not finish, else start one.")
    ] = False,
    accept_changes: AcceptChanges = False,
    keep_values: KeepValues = False,
    as_json: AsJson = False,
) -> None:
    """Run a job.

    Exits with 0 when the run completed, 1 when some records were set aside (partial), 2 when it failed, 130 or 143
    when it was cancelled.

    Example: lorchestra exec job hello --payload name=Ada
    """
    options.require_consistent(
        resume=resume,
        dry_run=dry_run,
        read_from=read_from,
        smoke_namespace=smoke_namespace,
        accept_changes=accept_changes,
    )
    # Imported here because `--help` must not pay for the executor.
    from lorchestra import api

    state: State = context.obj
    envelope = {
        **_envelope(job_id, ctx, payload, version, definitions_dir),
        "smoke_namespace": smoke_namespace,
        "read_from": read_from and read_from.value,
        "dry_run": dry_run,
    }
    with run_report.running(state, keep_values=keep_values) as live:
        if resume:
            result = api.resume_or_execute(envelope, accept_changes=accept_changes, **live.options)
        else:
            result = api.execute(envelope, **live.options)
    run_report.print_result(result, as_json=as_json)
    raise Finished(live.exit_code(result))


@app.command("compile")
def compile_(
    context: typer.Context,
    job_id: JobId,
    ctx: Ctx = None,
    payload: Payload = None,
    version: Version = None,
    definitions_dir: DefinitionsDir = None,
    output_format: Annotated[Format, typer.Option("--format", help="yaml or json.")] = Format.YAML,
    as_json: AsJson = False,
) -> None:
    """Print the job as it would run. It shows the values you gave.

    @ctx and @payload are filled in, conditions decided; only references to earlier steps remain.

    Example: lorchestra exec compile hello --payload name=Ada --json
    """
    # Imported here because `--help` must not pay for the compiler.
    from lorchestra import api

    state: State = context.obj
    envelope = _envelope(job_id, ctx, payload, version, definitions_dir)
    instance = api.compile(envelope, profile=state.profile).model_dump(mode="json", exclude_none=True)
    if as_json or output_format is Format.JSON:
        output.as_json(instance)
    else:
        output.as_yaml(instance)
    raise Finished(exit_codes.COMPLETED)


def _envelope(
    job_id: str,
    ctx: list[str] | None,
    payload: list[str] | None,
    version: str | None,
    definitions_dir: str | None,
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "ctx": read_object("--ctx", ctx or []),
        "payload": read_object("--payload", payload or []),
        "version": version,
        "definitions_dir": definitions_dir,
    }
