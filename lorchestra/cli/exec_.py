"""`lorchestra exec`: run a job, or see what running it would mean."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from lorchestra.cli import exit_codes, output, run_report
from lorchestra.cli.state import Finished, State
from lorchestra.cli.values import not_empty, read_object

app = typer.Typer(
    help="Run jobs and see what they would do.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
run_app = typer.Typer(rich_markup_mode=None, add_completion=False)


class ReadNamespace(StrEnum):
    PROD = "prod"


JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="The job's id, the name of its file without `.yaml`.")]
Ctx = Annotated[
    list[str] | None,
    typer.Option("--ctx", metavar="VALUES", help="Values for @ctx, in the same forms as those for @payload."),
]
Payload = Annotated[
    list[str] | None,
    typer.Option(
        "--payload",
        metavar="VALUES",
        help="Values for @payload: a JSON object, @FILE or - (standard input) with one, or KEY=VALUE, where a.b=1 is "
        "what @payload.a.b reads and the value is JSON or else text. May be repeated; a later one adds to the others.",
    ),
]
Version = Annotated[
    str | None,
    typer.Option("--version", metavar="VERSION", callback=not_empty, help="A version other than the current one."),
]
DefinitionsDir = Annotated[
    str | None, typer.Option(metavar="FOLDER", callback=not_empty, help="The folder of job definitions.")
]
SmokeNamespace = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Read and write only data of this namespace, never production's."),
]
ReadFrom = Annotated[
    ReadNamespace | None,
    typer.Option("--read-from", help="With --smoke-namespace: read production's data, and write the namespace's."),
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
    read_from: ReadFrom = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what each step would be asked to do.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the job's last run if that did not finish, else start one.")
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

    Exits with 0 when the run completed, 1 when some records were set aside (partial), 2 when it failed, 130 or 143
    when it was cancelled.

    Example: lorchestra exec job hello --payload name=Ada
    """
    if resume and dry_run:
        raise typer.BadParameter("a dry run starts nothing, so it resumes nothing", param_hint="'--resume'")
    if read_from is not None and smoke_namespace is None:
        raise typer.BadParameter("it goes with --smoke-namespace", param_hint="'--read-from'")
    if accept_changes and not resume:
        raise typer.BadParameter("it goes with --resume", param_hint="'--accept-changes'")
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
