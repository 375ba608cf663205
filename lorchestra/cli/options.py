"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lorchestra.cli.values import not_empty


class ReadNamespace(StrEnum):
    PROD = "prod"


JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="The job's id, the name of its file without `.yaml`.")]
PipelineName = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The pipeline's name, that of its file without `.yaml`.")
]
Ctx = Annotated[
    list[str] | None,
    typer.Option("--ctx", metavar="VALUES", help="Values for @ctx, in the same forms as those for @payload."),
]
Payload = Annotated[
    list[str] | None,
    typer.Option(
        "--payload",
        metavar="VALUES",
        help="Values for @payload: a JSON object, @FILE or - (standard input) with one, or KEY=VALUE, where a.b=1 is "
        "what @payload.a.b reads and the value is JSON or else text. May be repeated; a later one adds to the others.",
    ),
]
Version = Annotated[
    str | None,
    typer.Option("--version", metavar="VERSION", callback=not_empty, help="A version other than the current one."),
]
DefinitionsDir = Annotated[
    str | None, typer.Option(metavar="FOLDER", callback=not_empty, help="The folder of job definitions.")
]
SmokeNamespace = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Read and write only data of this namespace, never production's."),
]
ReadFrom = Annotated[
    ReadNamespace | None,
    typer.Option("--read-from", help="With --smoke-namespace: read production's data, and write the namespace's."),
]
AcceptChanges = Annotated[
    bool, typer.Option("--accept-changes", help="Resume although a definition or callable has changed.")
]
KeepValues = Annotated[
    bool, typer.Option("--keep-values", help="Keep the run's private values after it has completed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def folder(definitions_dir: str | None) -> Path | None:
    return None if definitions_dir is None else Path(definitions_dir)


def require_consistent(
    *, resume: bool, dry_run: bool, read_from: ReadNamespace | None, smoke_namespace: str | None, accept_changes: bool
) -> None:
    """Raise BadParameter for options of a run that do not go together."""
    if resume and dry_run:
        raise typer.BadParameter("a dry run starts nothing, so it resumes nothing", param_hint="'--resume'")
    if read_from is not None and smoke_namespace is None:
        raise typer.BadParameter("it goes with --smoke-namespace", param_hint="'--read-from'")
    if accept_changes and not resume:
        raise typer.BadParameter("it goes with --resume", param_hint="'--accept-changes'")
