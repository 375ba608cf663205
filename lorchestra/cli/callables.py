"""`lorchestra callables`: what jobs can call."""

from __future__ import annotations

from typing import Annotated

import typer

from lorchestra.cli import output
from lorchestra.cli.state import State

app = typer.Typer(help="See what jobs can call.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """A group, also while it has one command."""


@app.command("list")
def list_(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the callables with their origin and the hash of their code.

    Example: lorchestra callables list
    """
    state: State = context.obj
    with state.workspace() as workspace:
        entries = workspace.callables.entries()
    if as_json:
        output.as_json([{"name": e.name, "origin": e.origin, "content_hash": e.content_hash} for e in entries])
        return
    if not entries:
        output.line("no callables: add a module to the project's callables folder, or install a package that has some")
        return
    output.table(("NAME", "ORIGIN", "CODE"), ((e.name, e.origin, e.content_hash[:12]) for e in entries))
