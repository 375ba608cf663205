"""`lorchestra storacle`: the data plane as a service of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lorchestra.cli import exit_codes, output
from lorchestra.cli.options import AsJson
from lorchestra.cli.state import Finished, State
from lorchestra.cli.values import not_empty

if TYPE_CHECKING:
    from lorchestra.storacle.checkup import Finding

app = typer.Typer(
    help="Serve the data plane to other processes, and check it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


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


@app.command()
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Check that the storacle of the settings does what it promises.

    It opens a run, reads the tables, writes and reads rows, and lets two writers race, in a smoke namespace of its own
    that is removed afterwards.

    Example: lorchestra storacle check --profile prod
    """
    state: State = context.obj
    state.configure_logging()
    found: list[Finding] = []
    with state.workspace() as workspace:
        for finding in workspace.checkup().findings():
            found.append(finding)
            if not as_json:
                output.line(f"{'ok' if finding.is_ok else 'failed':8}{finding.name}: {finding.said}")
                sys.stdout.flush()
    if as_json:
        output.as_json([{"check": one.name, "ok": one.is_ok, "said": one.said} for one in found])
    if not all(one.is_ok for one in found):
        if not as_json:
            output.error("error: the storacle does not do all of this; docs/troubleshooting.md says what errors mean")
        raise Finished(exit_codes.CONFIGURATION)


def _tell(url: str) -> None:
    output.line(f"storacle serves {url}")
    # Whoever waits for this line may read it through a pipe.
    sys.stdout.flush()
