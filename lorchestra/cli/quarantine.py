"""`lorchestra quarantine`: records that could not be processed, and having them processed once more."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorchestra.cli import exit_codes, output
from lorchestra.cli.options import AsJson, SmokeNamespace
from lorchestra.cli.state import Finished, State

if TYPE_CHECKING:
    from lorchestra.storacle.quarantine import Quarantined

app = typer.Typer(
    help="List, show and replay records that could not be processed.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Job = Annotated[str | None, typer.Option("--job", metavar="JOB_ID", help="Only what this job set aside.")]
Rule = Annotated[str | None, typer.Option(metavar="RULE", help="Only what failed by this rule: required, type, ...")]


@app.command("list")
def list_(
    context: typer.Context,
    job_id: Job = None,
    rule: Rule = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="At most so many.")] = 100,
    smoke_namespace: SmokeNamespace = None,
    as_json: AsJson = False,
) -> None:
    """List records that could not be processed, the latest first: where each failed, and by which rule.

    Example: lorchestra quarantine list --job validate_gmail_source
    """
    state: State = context.obj
    with state.workspace() as workspace:
        found = list(workspace.quarantine(smoke_namespace).find(job_id=job_id, rule=rule, limit=limit))
    if as_json:
        output.as_json([one.to_dict() for one in found])
        return
    if not found:
        output.line("the quarantine is empty" if job_id is None and rule is None else "no such records")
        return
    output.table(
        ("SINCE (UTC)", "JOB", "RULE", "AT", "SCHEMA", "RECORD"),
        ((_when(one.first_seen), one.job_id, one.rule, one.pointer, one.schema, one.idem_key) for one in found),
    )


@app.command()
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="RECORD", help="The idem_key of the record.")],
    smoke_namespace: SmokeNamespace = None,
    as_json: AsJson = False,
) -> None:
    """Show why a record is in the quarantine, and which stages wait for it to change.

    Example: lorchestra quarantine show gmail:gmail-acct1:email:18c2
    """
    state: State = context.obj
    with state.workspace() as workspace:
        quarantine = workspace.quarantine(smoke_namespace)
        found = list(quarantine.find(keys=[key]))
        stages = quarantine.stages(key)
    if as_json:
        output.as_json([{**one.to_dict(), "stages": list(stages)} for one in found])
    else:
        for one in found:
            _print(one)
        if stages:
            output.line(f"done with it until it changes: {', '.join(stages)}")
    if not found:
        if not as_json:
            output.error("error: no record in the quarantine has this key; `lorchestra quarantine list` shows them")
        raise Finished(exit_codes.FAILED)


@app.command()
def replay(
    context: typer.Context,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[RECORD]...", help="The idem_keys of records; or all that fit.")
    ] = None,
    job_id: Job = None,
    rule: Rule = None,
    all_: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List which they are, and change nothing.")] = False,
    smoke_namespace: SmokeNamespace = None,
    as_json: AsJson = False,
) -> None:
    """Take records out of the quarantine, so that the next run of their job takes them up once more.

    Example: lorchestra quarantine replay --job canonize_gmail_jmap
    """
    if not (keys or job_id or rule or all_):
        raise typer.BadParameter("say which: the keys of records, --job, --rule, or --all")
    state: State = context.obj
    with state.workspace() as workspace:
        quarantine = workspace.quarantine(smoke_namespace)
        found = list(quarantine.find(job_id=job_id, rule=rule, keys=keys or ()))
        missing = sorted(set(keys or ()) - {one.idem_key for one in found})
        told: dict[str, Any] = {"records": [one.to_dict() for one in found], "missing": missing, "dry_run": dry_run}
        if not dry_run:
            replayed = workspace.replay(quarantine, found)
            told["markers"] = replayed.markers
    if as_json:
        output.as_json(told)
    else:
        _tell(found, dry_run=dry_run)
    for key in missing:
        output.error(f"error: not in the quarantine: {key}")
    if missing:
        raise Finished(exit_codes.FAILED)


def _tell(found: list[Quarantined], *, dry_run: bool) -> None:
    if dry_run:
        for one in found:
            output.line(one.idem_key)
        output.line(f"would replay {output.plural(len(found), 'record')}")
        return
    jobs = sorted({one.job_id for one in found})
    output.line(f"replayed {output.plural(len(found), 'record')}")
    if jobs:
        output.line(f"they are taken up by the next run of {', '.join(jobs)}")


def _print(one: Quarantined) -> None:
    output.line(one.idem_key)
    shown = {
        "job": one.job_id,
        "step": one.step_id,
        "schema": one.schema,
        "at": one.pointer or "(all of it)",
        "rule": one.rule,
        "since": _when(one.first_seen),
        "last": _when(one.last_seen),
        "run": one.run_id,
    }
    for name, value in shown.items():
        output.line(f"  {name}: {value or '-'}")


def _when(moment: str | None) -> str:
    return output.when(datetime.fromisoformat(moment) if moment else None)
