"""`lorchestra exec`: run a job, or see what running it would mean."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from lorchestra.cli import exit_codes, output, run_report
from lorchestra.cli.state import Finished, State
from lorchestra.cli.values import read_object

app = typer.Typer(help="Run jobs and see what they would do.", no_args_is_help=True, rich_markup_mode=None)
run_app = typer.Typer(rich_markup_mode=None)

JobId = Annotated[str, typer.Argument(help="The job's id, the name of its file without `.yaml`.")]
Ctx = Annotated[
    list[str] | None, typer.Option("--ctx", metavar="JSON|@FILE|KEY=VALUE", help="Values for @ctx; may be repeated.")
]
Payload = Annotated[
    list[str] | None,
    typer.Option("--payload", metavar="JSON|@FILE|KEY=VALUE", help="Values for @payload; may be repeated."),
]
Version = Annotated[str | None, typer.Option("--version", help="A version of the job other than the current one.")]
DefinitionsDir = Annotated[str | None, typer.Option(help="The folder of job definitions.")]
SmokeNamespace = Annotated[
    str | None, typer.Option(help="Read and write only data of this namespace, never production's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what each step would be asked to do.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the job's last run if it did not finish, else start one.")
    ] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume although a definition or callable has changed.")
    ] = False,
    keep_values: Annotated[
        bool, typer.Option("--keep-values", help="Keep the run's private values after it has completed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a job.

    Example: lorchestra exec job hello --payload '{"name": "Ada"}'
    """
    # Imported here because `--help` must not pay for the executor.
    from lorchestra import api

    state: State = context.obj
    envelope = _envelope(job_id, ctx, payload, version, definitions_dir, smoke_namespace, dry_run=dry_run)
    with run_report.running(state, keep_values=keep_values) as live:
        if resume and not dry_run:
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
    """Print the job with @ctx and @payload filled in and conditions decided. It shows the values you gave.

    Example: lorchestra exec compile hello --payload name=Ada --json
    """
    # Imported here because `--help` must not pay for the compiler.
    from lorchestra import api

    state: State = context.obj
    envelope = _envelope(job_id, ctx, payload, version, definitions_dir, None)
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
    smoke_namespace: str | None,
    *,
    dry_run: bool = False,
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "ctx": read_object("--ctx", ctx or []),
        "payload": read_object("--payload", payload or []),
        "version": version,
        "definitions_dir": definitions_dir,
        "smoke_namespace": smoke_namespace,
        "dry_run": dry_run,
    }
