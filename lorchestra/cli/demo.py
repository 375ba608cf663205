"""`lorchestra demo`: a day of a made-up clinic, from its mailboxes and forms to scores, views and files."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorchestra.cli import exit_codes, output
from lorchestra.cli.options import AsJson
from lorchestra.cli.state import Finished

if TYPE_CHECKING:
    from lorchestra.demo.day import Day

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where everything of the demo is kept.")] = Path(
        "lorchestra-demo"
    ),
    day: Annotated[int, typer.Option(metavar="N", min=1, max=365, help="The day of the clinic: 2 is the next.")] = 1,
    scale: Annotated[
        float, typer.Option(metavar="N", min=0.01, max=1000, help="So many times as many clients and mails.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Run the daily pipeline of a made-up clinic, whose providers are served on this machine: no network, no account.

    Run it twice, and the second time nothing changes; then try `--day 2`.

    Example: lorchestra demo --day 2
    """
    # Imported here because `--help` must not pay for it.
    from lorchestra.demo import day as clinic_day

    if not as_json:
        output.line(f"Day {day} of a made-up clinic: three mailboxes and four forms, served on this machine.\n")
        output.line(f"$ lorchestra exec pipeline {clinic_day.PIPELINE}")
        # Another process writes next.
        sys.stdout.flush()
    done = clinic_day.run(folder, day=day, scale=scale, quiet=as_json)
    if as_json:
        output.as_json(done.to_dict())
    else:
        _print(done, folder, scale)
    # The clinic's mess is meant to be set aside: that ends a day as it should be.
    if done.exit_code not in (exit_codes.COMPLETED, exit_codes.PARTIAL):
        raise Finished(done.exit_code)


def _print(done: Day, folder: Path, scale: float) -> None:
    output.line(f"\nWhat the day moved, in {done.seconds:.1f} s")
    if done.is_unchanged:
        output.line("  nothing: all of it was there already, and no row or file was touched")
    output.table(
        ("", "TOTAL", "NEW", "CHANGED", "GONE"),
        (
            (
                name,
                f"{moved.total:,}",
                *(f"{count:,}" if count else "" for count in (moved.new, moved.changed, moved.gone)),
            )
            for name, moved in done.moved.items()
        ),
    )
    if done.set_aside:
        output.line("\nSet aside in the quarantine, and why (never with a value)")
        output.table(
            ("JOB", "RECORDS", "AT", "RULE"),
            ((one.job_id, one.records, one.pointer or "/", one.rule) for one in done.set_aside),
        )
    if done.clients:
        output.line("\nTwo clients")
        for client in done.clients:
            flag = f"; {client['open_flag_label']}" if client["open_flag_label"] else ""
            output.line(
                f"  {client['email']}: PHQ-9 {client['phq9_score']:g} ({client['phq9_label']}), "
                f"GAD-7 {client['gad7_score']:g} ({client['gad7_label']}){flag}"
            )
    where = shlex.quote(str(folder))
    again = "" if folder == Path("lorchestra-demo") else f" --folder {where}"
    if scale != 1:
        again += f" --scale {scale:g}"
    output.line(
        f"\nWhere it is\n"
        f"  {where}/vault/clients/  a page for each client\n"
        f"  {where}/copies/clinic.db  the SQLite file to query\n"
        f"  {where}/.lorchestra/  the data and the record of the runs\n"
        f"\nWhat to try next\n"
        f"  lorchestra demo{again}  once more: nothing changes\n"
        f"  lorchestra demo{again} --day {done.day + 1}  the next day: only what is new moves\n"
        f"  cd {where} && lorchestra runs list\n"
        f"  cd {where} && lorchestra quarantine list --limit 5\n"
        f"  cd {where} && lorchestra exec pipeline daily_all --dry-run"
    )
