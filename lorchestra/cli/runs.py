"""`lorchestra runs`: what ran, how it went, and going on with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from lorchestra.cli import output, pipeline_report, run_report
from lorchestra.cli.options import AcceptChanges, AsJson, DefinitionsDir, KeepValues
from lorchestra.cli.state import Finished, State
from lorchestra.errors import did_you_mean

if TYPE_CHECKING:
    from lorchestra.schemas import RunStatus

_CHILDREN_MAX = 10_000

app = typer.Typer(help="See, resume and prune runs.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run's id, or enough of its beginning.")]


@app.command("list")
def list_(
    context: typer.Context,
    job_id: Annotated[str | None, typer.Option("--job", metavar="JOB_ID", help="Only runs of this job.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only runs that read so: failed, interrupted, ...")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
    all_: Annotated[
        bool, typer.Option("--all", help="Also the runs that other runs started, as those of a pipeline do.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first. Those that other runs started are listed with --all or --job.

    Example: lorchestra runs list --status failed
    """
    # Imported here because `--help` must not pay for it.
    from lorchestra.run_store.protocol import RunFilter

    state: State = context.obj
    asked = _status(status)
    with state.workspace() as workspace:
        query = RunFilter(job_id=job_id, status=asked, outermost=not (all_ or job_id), limit=limit)
        runs = workspace.history.list_runs(query)
    if as_json:
        output.as_json([run.model_dump(mode="json", exclude={"attempts"}) for run in runs])
        return
    if not runs:
        output.line("no runs")
        return
    output.table(
        ("RUN", "JOB", "VERSION", "STATUS", "STARTED (UTC)", "TOOK"),
        (
            (
                run.run_id,
                run.job_id,
                run.job_version,
                run.status.value,
                output.when(run.started_at),
                output.lasted(run.started_at, run.completed_at),
            )
            for run in runs
        ),
    )


@app.command()
def show(context: typer.Context, run_id: RunId, as_json: AsJson = False) -> None:
    """Show a run: its steps, the runs it started, its errors.

    Example: lorchestra runs show 01JD
    """
    # Imported here because `--help` must not pay for them.
    from lorchestra.cli import run_page
    from lorchestra.run_store.protocol import RunFilter

    state: State = context.obj
    with state.workspace() as workspace:
        store = workspace.history
        full_id = store.find(run_id)
        run = store.get(full_id)
        manifests = store.manifests(full_id)
        children = store.list_runs(RunFilter(parent_run_id=full_id, limit=_CHILDREN_MAX))
    if as_json:
        output.as_json(
            {
                **run.model_dump(mode="json"),
                "manifests": [manifest.model_dump(mode="json") for manifest in manifests],
                "children": [child.model_dump(mode="json", exclude={"attempts"}) for child in reversed(children)],
            }
        )
    else:
        run_page.show(run, manifests, children)


@app.command()
def resume(
    context: typer.Context,
    run_id: RunId,
    accept_changes: AcceptChanges = False,
    keep_values: KeepValues = False,
    definitions_dir: DefinitionsDir = None,
    as_json: AsJson = False,
) -> None:
    """Continue a run that failed, was cancelled or interrupted.

    Example: lorchestra runs resume 01JD
    """
    state: State = context.obj
    # Imported here because `--help` must not pay for the executor.
    from lorchestra import api
    from lorchestra.pipeline import resume_pipeline

    if _is_of_pipeline(state, run_id):
        with (
            pipeline_report.progress(is_shown=not as_json, state=state) as shown,
            run_report.running(shown.state, keep_values=keep_values, observer=shown.observer) as live,
        ):
            ended = resume_pipeline(
                run_id, definitions_dir, accept_changes=accept_changes, planned=shown.planned, **live.options
            )
        pipeline_report.print_result(ended, as_json=as_json)
        raise Finished(live.exit_code(ended))
    with run_report.running(state, keep_values=keep_values) as live:
        result = api.resume(run_id, accept_changes=accept_changes, definitions_dir=definitions_dir, **live.options)
    run_report.print_result(result, as_json=as_json)
    raise Finished(live.exit_code(result))


def _is_of_pipeline(state: State, run_id: str) -> bool:
    """Whether it is the run of a pipeline that can be resumed by itself."""
    # Imported here because `--help` must not pay for it.
    from lorchestra.schemas.pipeline import is_pipeline

    with state.workspace() as workspace:
        store = workspace.history
        record = store.get(store.find(run_id))
    return is_pipeline(record.job_id) and record.parent_run_id is None


@app.command()
def prune(
    context: typer.Context,
    keep: Annotated[
        str | None, typer.Option(metavar="TIME", help="Keep runs younger than this, such as 90d or 12h.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete runs that ended long ago, with their private values.

    Example: lorchestra runs prune --keep 90d --dry-run
    """
    state: State = context.obj
    asked = _duration(keep)
    with state.workspace() as workspace:
        before = datetime.now(UTC) - workspace.retention(asked)
        pruned = workspace.history.prune(before, dry_run=dry_run)
    if as_json:
        output.as_json(
            {
                "dry_run": dry_run,
                "before": before.isoformat(),
                "run_ids": list(pruned.run_ids),
                "definitions": pruned.definitions,
                "private_bytes": pruned.private_bytes,
            }
        )
        return
    for pruned_id in pruned.run_ids:
        output.line(pruned_id)
    output.line(
        f"{'would delete' if dry_run else 'deleted'} {output.plural(len(pruned.run_ids), 'run')} that ended before "
        f"{output.when(before)} UTC, {output.plural(pruned.definitions, 'definition')}, "
        f"{output.plural(pruned.private_bytes, 'byte')} of private values"
    )


def _status(text: str | None) -> RunStatus | None:
    # Imported here because `--help` must not pay for it.
    from lorchestra.schemas import RunStatus

    if text is None:
        return None
    if text not in (known := [status.value for status in RunStatus]):
        nearest = did_you_mean(text, known)
        words = f"'{text}' is not one of {', '.join(known)}" + (f"; {nearest}" if nearest else "")
        raise typer.BadParameter(words, param_hint="'--status'")
    return RunStatus(text)


def _duration(text: str | None) -> timedelta | None:
    # Imported here because `--help` must not pay for it.
    from lorchestra.settings import durations

    try:
        return None if text is None else durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--keep'") from error
