"""`lorchestra ledger`: who wrote what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorchestra.cli import exit_codes, output
from lorchestra.cli.options import AsJson, SmokeNamespace
from lorchestra.cli.state import Finished, State

if TYPE_CHECKING:
    from lorchestra.storacle.ledger import Written

app = typer.Typer(help="See who wrote what.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)

_SHOWN = ("run_id", "job_id", "job_version", "step_id", "op_id", "method", "applied_at", "key")


@app.callback()
def _group() -> None:
    """A group, also while it has one command."""


@app.command()
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="The idem_key of a row, or the key of an op.")],
    smoke_namespace: SmokeNamespace = None,
    as_json: AsJson = False,
) -> None:
    """Say which run, job version, code and content wrote a row last, or what an op did.

    Example: lorchestra ledger show gmail:acct1:email:18c2
    """
    state: State = context.obj
    with state.workspace() as workspace:
        found = workspace.who_wrote(key, smoke_namespace=smoke_namespace)
    if as_json:
        output.as_json([one.to_dict() for one in found])
    else:
        for one in found:
            _print(one)
    if not found:
        if not as_json:
            output.error("error: no row and no op has this key; keys are compared letter by letter")
        raise Finished(exit_codes.FAILED)


def _print(written: Written) -> None:
    output.line(f"row of {written.table}" if written.table else "op")
    if written.content_hash is not None:
        output.line(f"  content: {written.content_hash}")
    if written.op is None:
        output.line("  the ledger has forgotten what wrote it")
        return
    op: dict[str, Any] = dict(written.op)
    for name in _SHOWN:
        if op[name] is not None:
            output.line(f"  {name}: {op[name]}")
    output.line(f"  code: {op['code_sha256'] or '-'}")
    output.line(f"  content of the op: {op['content_sha256'] or '-'}")
    output.line(f"  counts: {', '.join(f'{name} {count}' for name, count in op['counts'].items())}")
