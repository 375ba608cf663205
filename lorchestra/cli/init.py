"""`lorchestra init`: a project of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lorchestra.cli import output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the project begins; the working directory without it.")
    ] = Path(),
) -> None:
    """Begin a project: settings with one connection, a job that fetches from it, and what Git is to ignore.

    A file that is there already is never overwritten.

    Example: lorchestra init clinic
    """
    # Imported here because `--help` must not pay for it.
    from lorchestra import new_project

    for path in new_project.create(folder):
        output.line(f"wrote {path}")
    enter = "" if folder == Path() else f"  cd {shlex.quote(str(folder))}\n"
    output.line(
        f"\nWhat to do next\n{enter}"
        "  lorchestra jobs validate\n"
        f"  lorchestra exec job {new_project.JOB_ID}\n"
        "  lorchestra runs list\n"
        "Then put a connection of your own into lorchestra.yaml, and a job for it beside the first one."
    )
