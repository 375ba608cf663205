"""`lorchestra pipelines`: the pipelines of the project, and those that are built in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lorchestra.cli import options, output
from lorchestra.cli.options import AsJson, DefinitionsDir, PipelineName
from lorchestra.cli.state import State

if TYPE_CHECKING:
    from lorchestra.pipelines.registry import PipelineSummary

app = typer.Typer(help="See pipelines.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(context: typer.Context, definitions_dir: DefinitionsDir = None, as_json: AsJson = False) -> None:
    """List the pipelines of the project, and those that are built in.

    Example: lorchestra pipelines list
    """
    state: State = context.obj
    with state.workspace(definitions_dir=options.folder(definitions_dir)) as workspace:
        summaries = workspace.pipelines.summaries()
    if as_json:
        output.as_json([summary.to_dict() for summary in summaries])
        return
    if not summaries:
        output.line("no pipelines yet: a pipeline is a file <pipeline>.yaml in the folder pipelines")
        return
    output.table(
        ("PIPELINE", "STAGES", "JOBS", "FROM", "DESCRIPTION"),
        ((s.pipeline_id, s.stages or "", s.jobs or "", _origin(s), _description(s)) for s in summaries),
    )


@app.command()
def show(
    context: typer.Context, name: PipelineName, definitions_dir: DefinitionsDir = None, as_json: AsJson = False
) -> None:
    """Show a pipeline: its file, and every job that it runs, in order.

    Example: lorchestra pipelines show daily_all
    """
    state: State = context.obj
    with state.workspace(definitions_dir=options.folder(definitions_dir)) as workspace:
        pipeline = workspace.pipelines.load(name)
        definition = workspace.pipelines.definition(name)
    leaves = pipeline.leaves()
    about = {
        "pipeline_id": pipeline.name,
        "file": str(pipeline.path),
        "built_in": pipeline.is_built_in,
        "description": pipeline.description,
        "stop_on_failure": pipeline.stop_on_failure,
    }
    if as_json:
        jobs = [
            {"job_id": leaf.job_id, "stage": leaf.stage, "pipelines": list(leaf.pipelines), "path": list(leaf.path)}
            for leaf in leaves
        ]
        output.as_json({**about, "definition": definition.model_dump(mode="json"), "jobs": jobs})
        return
    for key, value in about.items():
        if value is not None:
            output.line(f"{key}: {str(value).lower() if isinstance(value, bool) else value}")
    output.line()
    output.table(
        ("", "STAGE", "PIPELINE", "JOB"),
        ((number, leaf.stage, "/".join(leaf.pipelines), leaf.job_id) for number, leaf in enumerate(leaves, start=1)),
    )


def _origin(summary: PipelineSummary) -> str:
    return "built in" if summary.is_built_in else "project"


def _description(summary: PipelineSummary) -> str | None:
    return f"broken: {summary.problems[0]}" if summary.problems else summary.description
