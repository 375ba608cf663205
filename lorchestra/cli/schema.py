"""`lorchestra schema`: the JSON Schemas of the files that people write."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lorchestra.cli import output


class Kind(StrEnum):
    JOB = "job"
    PIPELINE = "pipeline"
    SETTINGS = "settings"
    MEASURE = "measure"
    BINDING = "binding"


app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def schema(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="job, pipeline, settings, measure or binding.")],
) -> None:
    """Print the JSON Schema of a kind of file, for editors and other tools.

    Example: lorchestra schema job > job.schema.json
    """
    # Imported here because `--help` must not pay for the models.
    from lorchestra.json_schemas import render

    output.line(render(kind.value).rstrip("\n"))
