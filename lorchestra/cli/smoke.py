"""`lorchestra smoke`: what a smoke namespace made, and how it goes away again."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lorchestra.cli import output
from lorchestra.cli.options import AsJson
from lorchestra.cli.state import State

if TYPE_CHECKING:
    from lorchestra.storacle.backends.base import NamespaceObject

app = typer.Typer(
    help="List and remove what smoke runs made.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


def _checked(name: str) -> str:
    # Imported here because help needs no schemas, and they take long.
    from lorchestra.schemas.envelope import PRODUCTION, SMOKE_NAME

    if name == PRODUCTION:
        raise typer.BadParameter("'prod' is production; nothing of it is removed as a whole")
    if not re.fullmatch(SMOKE_NAME, name):
        raise typer.BadParameter("expected 1 to 20 small letters and digits, as given to --smoke-namespace")
    return name


Name = Annotated[
    str, typer.Argument(metavar="NAME", callback=_checked, help="The namespace, as given to --smoke-namespace.")
]


@app.command("list")
def list_(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """List what a smoke namespace made: tables, views, files, SQLite copies and sheets.

    Example: lorchestra smoke list trial
    """
    state: State = context.obj
    with state.workspace() as workspace:
        made = workspace.client.objects(_namespace(name))
    if as_json:
        output.as_json([_as_dict(one) for one in made])
    else:
        _show(made, name)


@app.command()
def clean(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove exactly what a smoke namespace made, with its ledger, cursors and markers, after asking.

    Example: lorchestra smoke clean trial --dry-run
    """
    state: State = context.obj
    state.configure_logging()
    namespace = _namespace(name)
    with state.workspace() as workspace:
        made = workspace.client.objects(namespace)
        if not as_json:
            _show(made, name)
        if made and not dry_run and not yes:
            _ask(len(made))
        # Also where nothing is listed: there may be cursors.
        removed = 0 if dry_run else workspace.client.clean(namespace)
    if as_json:
        objects = [_as_dict(one) for one in made]
        output.as_json({"namespace": namespace, "dry_run": dry_run, "objects": objects, "removed": removed})
    elif made:
        told = f"would remove {output.plural(len(made), 'object')}"
        output.line(told if dry_run else f"removed {output.plural(removed, 'object')}")


def _namespace(name: str) -> str:
    # Imported here because `--help` must not pay for it.
    from lorchestra.schemas.envelope import namespace_of

    return namespace_of(name)


def _as_dict(made: NamespaceObject) -> dict[str, str]:
    return {"kind": made.kind, "name": made.name}


def _show(made: tuple[NamespaceObject, ...], name: str) -> None:
    if not made:
        output.line(f"the smoke namespace '{name}' has made nothing")
        return
    output.table(("KIND", "NAME"), ((one.kind, one.name) for one in made))


def _ask(count: int) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on; pass --yes to remove without asking")
    # On the standard error: what is printed may be read by a program.
    typer.confirm(f"remove {output.plural(count, 'object')}?", abort=True, err=True)
