"""`lorchestra runs`: what ran, how it went, and going on with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from lorchestra.cli import output, run_report
from lorchestra.cli.exec_ import AsJson
from lorchestra.cli.state import Finished, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorchestra.schemas import ErrorRecord, RunRecord, RunStatus

app = typer.Typer(help="See, resume and prune runs.", no_args_is_help=True, rich_markup_mode=None)

RunId = Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")]


@app.command("list")
def list_(
    context: typer.Context,
    job_id: Annotated[str | None, typer.Option("--job", help="Only runs of this job.")] = None,
    status: Annotated[str | None, typer.Option(help="Only runs that read so: failed, interrupted, ...")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first.

    Example: lorchestra runs list --status failed
    """
    from lorchestra.run_store.protocol import RunFilter

    state: State = context.obj
    with state.workspace() as workspace:
        runs = workspace.store.list_runs(RunFilter(job_id=job_id, status=_status(status), limit=limit))
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
    """Show a run: its steps with times, counts and digests, and every error with its causes.

    Example: lorchestra runs show 01JD
    """
    state: State = context.obj
    with state.workspace() as workspace:
        full_id = workspace.store.find(run_id)
        run = workspace.store.get(full_id)
        manifests = workspace.store.manifests(full_id)
    if as_json:
        output.as_json(
            {**run.model_dump(mode="json"), "manifests": [manifest.model_dump(mode="json") for manifest in manifests]}
        )
        return
    for name, value in _heading(run):
        output.line(f"{name:<11}{value}")
    output.line()
    begun = {manifest.step_id: manifest.op.value for manifest in manifests}
    output.table(("STEP", "OP", "STATUS", "TOOK", "TRIES", "COUNTS", "DIGEST"), _step_rows(run, begun))
    for text in _error_lines(run):
        output.line(text)


@app.command()
def resume(
    context: typer.Context,
    run_id: RunId,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on although a definition or callable has changed.")
    ] = False,
    keep_values: Annotated[
        bool, typer.Option("--keep-values", help="Keep the run's private values after it has completed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Continue a run that failed, was cancelled or interrupted.

    Example: lorchestra runs resume 01JD
    """
    state: State = context.obj
    # Imported here because `--help` must not pay for the executor.
    from lorchestra import api

    with run_report.running(state, keep_values=keep_values) as live:
        result = api.resume(run_id, accept_changes=accept_changes, **live.options)
    run_report.print_result(result, as_json=as_json)
    raise Finished(live.exit_code(result))


@app.command()
def prune(
    context: typer.Context,
    keep: Annotated[str | None, typer.Option(help="Keep runs younger than this, such as 90d or 12h.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete runs that ended long ago, with their private values.

    Example: lorchestra runs prune --keep 90d --dry-run
    """
    state: State = context.obj
    with state.workspace() as workspace:
        before = datetime.now(UTC) - workspace.retention(_duration(keep))
        pruned = workspace.store.prune(before, dry_run=dry_run)
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
        f"{'would delete' if dry_run else 'deleted'} {len(pruned.run_ids)} runs that ended before "
        f"{output.when(before)} UTC, {pruned.definitions} definitions, {pruned.private_bytes:,} bytes of private values"
    )


def _status(text: str | None) -> RunStatus | None:
    from lorchestra.schemas import RunStatus

    if text is None:
        return None
    if text not in (known := [status.value for status in RunStatus]):
        raise typer.BadParameter(f"'{text}' is not one of {', '.join(known)}", param_hint="--status")
    return RunStatus(text)


def _duration(text: str | None) -> timedelta | None:
    from lorchestra import durations

    try:
        return None if text is None else durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--keep") from error


def _heading(run: RunRecord) -> Iterator[tuple[str, str]]:
    yield "run", run.run_id
    yield "job", f"{run.job_id} {run.job_version} (sha256 {run.job_def_sha256[:12]})"
    yield "status", run.status.value
    yield "namespace", run.namespace
    yield "started", f"{output.when(run.started_at)} UTC"
    yield "took", output.lasted(run.started_at, run.completed_at)
    if len(run.attempts) > 1:
        yield "attempts", str(len(run.attempts))
    if run.parent_run_id:
        yield "parent", f"{run.parent_run_id}, step {run.parent_step_id}"
    for name, content_hash in run.code.items():
        yield "code", f"{name} (sha256 {content_hash[:12]})"


def _step_rows(run: RunRecord, begun: dict[str, str]) -> Iterator[tuple[object, ...]]:
    outcomes = {outcome.step_id: outcome for outcome in run.step_outcomes}
    for step_id in run.step_ids:
        op = begun.get(step_id, "")
        if (outcome := outcomes.get(step_id)) is None:
            reads = "running" if run.status == "running" else "stopped"
            yield step_id, op, reads if op else "pending", "", "", "", ""
            continue
        yield (
            step_id,
            op,
            outcome.status.value,
            output.lasted(outcome.started_at, outcome.completed_at),
            outcome.tries,
            output.counted(outcome.counts.items()),
            (outcome.digest or "")[:12],
        )


def _error_lines(run: RunRecord) -> Iterator[str]:
    for outcome in run.step_outcomes:
        for number, error in enumerate(outcome.errors, start=1):
            yield ""
            yield f"{outcome.step_id}, error {number} of {len(outcome.errors)}:"
            yield from (f"  {text}" for text in _rendered(error))
    if run.error is not None:
        yield ""
        yield "the run ended with:"
        yield from (f"  {text}" for text in _rendered(run.error))


def _rendered(error: ErrorRecord) -> list[str]:
    from lorchestra.error_record import render

    return render(error)
