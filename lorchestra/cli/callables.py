"""`lorchestra callables`: what jobs can call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from lorchestra.cli import output
from lorchestra.cli.options import AsJson
from lorchestra.cli.state import State
from lorchestra.errors import DefinitionError

if TYPE_CHECKING:
    from lorchestra.callable.registry import CallableEntry

_HASH_SHOWN = 12

app = typer.Typer(help="See what jobs can call.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.callback()
def _group() -> None:
    """A group, also while it has one command."""


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the callables with their origin and the hash of their code.

    Example: lorchestra callables list
    """
    state: State = context.obj
    with state.workspace() as workspace:
        rows = [_about(entry) for entry in workspace.callables.entries()]
        root = f"{workspace.settings.root}{os.sep}"
    if as_json:
        output.as_json(rows)
        return
    output.table(
        ("NAME", "CODE", "ORIGIN"),
        ((row["name"], (row["content_hash"] or "-")[:_HASH_SHOWN], _origin(row, root)) for row in rows),
    )


def _about(entry: CallableEntry) -> dict[str, str | None]:
    """A callable that cannot be read does not hide the others."""
    about = {"name": entry.name, "origin": entry.origin, "content_hash": None, "problem": None}
    try:
        about["content_hash"] = entry.content_hash
    except DefinitionError as error:
        about["problem"] = str(error)
    return about


def _origin(row: Mapping[str, str | None], root: str) -> str:
    if row["problem"] is not None:
        return f"broken: {row['problem']}"
    return str(row["origin"]).replace(root, "", 1)
