"""`lorchestra storacle`: the data plane as a service of its own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lorchestra.cli import output
from lorchestra.cli.state import State
from lorchestra.cli.values import not_empty

app = typer.Typer(
    help="Serve the data plane to other processes.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.callback()
def _group() -> None:
    """A group, also while it has one command."""


@app.command()
def serve(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a port that is free.")] = 8765,
    host: Annotated[str, typer.Option(callback=not_empty, help="Where others reach it.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Where the token is kept that callers must show: env:NAME or file:PATH."),
    ] = None,
) -> None:
    """Serve the storacle of the project over HTTP, until SIGTERM or Ctrl-C.

    What is being done then is finished and answered first. Without --token, the setting storacle.token says where the
    token is; without any, only programs on this machine can reach the service.

    Example: lorchestra storacle serve --token env:STORACLE_TOKEN
    """
    # Imported here because `--help` must not pay for it.
    from lorchestra.settings.secret_ref import SecretRef

    try:
        reference = None if token is None else SecretRef.parse(token)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--token'") from None
    state: State = context.obj
    state.configure_logging()
    with state.workspace() as workspace:
        workspace.serve(host=host, port=port, token=reference, ready=_tell)


def _tell(url: str) -> None:
    output.line(f"storacle serves {url}")
    # Whoever waits for this line may read it through a pipe.
    sys.stdout.flush()
