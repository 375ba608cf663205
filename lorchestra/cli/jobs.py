"""`lorchestra jobs`: the definitions of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lorchestra.cli import exit_codes, options, output
from lorchestra.cli.options import AsJson, DefinitionsDir, JobId, Version
from lorchestra.cli.state import Finished, State

if TYPE_CHECKING:
    from lorchestra.errors import Problem
    from lorchestra.registry import JobSummary

app = typer.Typer(
    help="See and check job definitions.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.command("list")
def list_(
    context: typer.Context,
    definitions_dir: DefinitionsDir = None,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="List the jobs that come with lorchestra instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the jobs of the project.

    Example: lorchestra jobs list --json
    """
    state: State = context.obj
    registry = state.registry(options.folder(definitions_dir))
    summaries = registry.built_in_summaries() if built_in else registry.summaries()
    if as_json:
        output.as_json([summary.to_dict() for summary in summaries])
        return
    if summaries:
        output.table(
            ("JOB", "VERSION", "STEPS", "DESCRIPTION"),
            ((s.job_id, s.version, s.steps or "", _description(s)) for s in summaries),
        )
    else:
        output.line("no jobs yet: a job is a file <job_id>.yaml in the definitions folder")
    if not built_in and (count := len(registry.built_in_ids())):
        output.line(f"\n{output.plural(count, 'job')} built in: lorchestra jobs list --built-in")


@app.command()
def show(
    context: typer.Context,
    job_id: JobId,
    version: Version = None,
    definitions_dir: DefinitionsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a definition: its file, hash, versions and steps.

    Example: lorchestra jobs show hello
    """
    state: State = context.obj
    registry = state.registry(options.folder(definitions_dir))
    definition = registry.load(job_id, version)
    about = {
        "job_id": definition.job_id,
        "version": definition.version,
        "versions": list(registry.versions(job_id)),
        "file": str(registry.path_of(job_id, version)),
        "sha256": definition.sha256(),
        "description": definition.description,
        "tags": list(definition.tags),
        "concurrency": definition.concurrency.value,
        "built_in": registry.is_built_in(job_id),
    }
    if as_json:
        output.as_json({**about, "definition": definition.canonical()})
        return
    for name, value in about.items():
        if value:
            output.line(f"{name}: {_shown(value)}")
    output.line()
    output.table(
        ("STEP", "OP", "IF", "RETRIES"),
        (
            (step.step_id, step.op.value, step.if_, step.retry.max_retries if step.retry else None)
            for step in definition.steps
        ),
    )


@app.command()
def validate(
    context: typer.Context,
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="JOB_ID",
            help="The jobs to check, `pipeline.<name>` for a pipeline; all those of the project without any.",
        ),
    ] = None,
    definitions_dir: DefinitionsDir = None,
    as_json: AsJson = False,
) -> None:
    """Check definitions, pipelines too: every mistake with its file, line and column.

    The callables and jobs that steps name are looked for too.

    Example: lorchestra jobs validate
    """
    state: State = context.obj
    with state.workspace(definitions_dir=options.folder(definitions_dir)) as workspace:
        problems = workspace.problems(job_ids or None)
        checked = len(job_ids or (*workspace.registry.own_job_ids(), *workspace.pipelines.list_pipelines()))
    if as_json:
        output.as_json([_as_dict(problem) for problem in problems])
    elif problems:
        for problem in problems:
            output.error(str(problem))
        output.error(f"error: {output.plural(len(problems), 'mistake')} in {output.plural(checked, 'definition')}")
    else:
        output.line(f"{output.plural(checked, 'definition')} checked, no mistakes")
    raise Finished(exit_codes.DEFINITION if problems else exit_codes.COMPLETED)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _description(job: JobSummary) -> str | None:
    if job.problem is not None:
        return f"broken: {job.problem}"
    if job.version is None or not job.steps:
        # To say what is wrong would take longer than to list all jobs.
        return f"broken: see `lorchestra jobs validate {job.job_id}`"
    return job.description


def _as_dict(problem: Problem) -> dict[str, object]:
    location = problem.location
    return {
        "file": location.file if location else None,
        "line": location.line if location else None,
        "column": location.column if location else None,
        "found": problem.found,
        "expected": problem.expected,
        "hint": problem.hint,
    }
