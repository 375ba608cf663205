"""`lorchestra jobs`: the definitions of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorchestra.cli import exit_codes, output
from lorchestra.cli.state import Finished, State
from lorchestra.errors import Problem

app = typer.Typer(help="See and check job definitions.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DefinitionsDir = Annotated[Path | None, typer.Option(help="The folder of job definitions.")]


@app.command("list")
def list_(context: typer.Context, definitions_dir: DefinitionsDir = None, as_json: AsJson = False) -> None:
    """List the jobs of the project.

    Example: lorchestra jobs list --json
    """
    state: State = context.obj
    summaries = state.registry(definitions_dir).summaries()
    if as_json:
        output.as_json([summary.to_dict() for summary in summaries])
        return
    if not summaries:
        output.line("no jobs yet: a job is a file <job_id>.yaml in the definitions folder")
        return
    output.table(
        ("JOB", "VERSION", "STEPS", "DESCRIPTION"),
        ((s.job_id, s.version, s.steps, s.description or s.problem) for s in summaries),
    )


@app.command()
def show(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(help="The job's id.")],
    version: Annotated[str | None, typer.Option("--version", help="A version other than the current one.")] = None,
    definitions_dir: DefinitionsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a definition: its file, hash, versions and steps.

    Example: lorchestra jobs show hello
    """
    state: State = context.obj
    registry = state.registry(definitions_dir)
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
    }
    if as_json:
        output.as_json({**about, "definition": definition.canonical()})
        return
    for name, value in about.items():
        if value:
            output.line(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
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
    job_ids: Annotated[list[str] | None, typer.Argument(help="The jobs to check; all without any.")] = None,
    definitions_dir: DefinitionsDir = None,
    as_json: AsJson = False,
) -> None:
    """Check definitions, and report every mistake with its file, line and column.

    Example: lorchestra jobs validate
    """
    state: State = context.obj
    registry = state.registry(definitions_dir)
    problems = registry.problems(job_ids or None)
    if as_json:
        output.as_json([_as_dict(problem) for problem in problems])
    else:
        for problem in problems:
            output.error(str(problem))
        if not problems:
            count = len(job_ids or registry.list_jobs())
            output.line(f"{count} definition{'' if count == 1 else 's'} checked, no mistakes")
    raise Finished(exit_codes.DEFINITION if problems else exit_codes.COMPLETED)


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
