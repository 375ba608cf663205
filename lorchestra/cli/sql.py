"""`lorchestra sql`: what of BigQuery SQL the embedded backend carries out."""

from __future__ import annotations

from typing import Annotated

import typer

from lorchestra.cli import exit_codes, output
from lorchestra.cli.options import AsJson
from lorchestra.cli.state import Finished

app = typer.Typer(help="See what SQL is supported.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.callback()
def _group() -> None:
    """A group, also while it has one command."""


@app.command()
def parity(
    run: Annotated[
        bool, typer.Option("--run", help="Compare the two engines now, on sample rows (needs duckdb).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the supported constructs, and which are proven to give the same rows on SQLite and on DuckDB.

    Example: lorchestra sql parity
    """
    # Imported here because `--help` must not pay for a parser of SQL.
    from lorchestra.storacle.sql.constructs import CONSTRUCTS

    differing: frozenset[str] = frozenset()
    if run:
        from lorchestra.storacle.sql import parity as comparison

        differing = comparison.differing(comparison.sample_rows())
    rows = [
        {
            "construct": one.name,
            "proven": one.is_proven and one.name not in differing,
            "why_not": "the engines differ on the sample rows" if one.name in differing else one.why_not,
            "example": one.example,
        }
        for one in CONSTRUCTS
    ]
    if as_json:
        output.as_json(rows)
    else:
        output.table(
            ("CONSTRUCT", "PROVEN"),
            ((row["construct"], "proven" if row["proven"] else f"not proven: {row['why_not']}") for row in rows),
        )
    if differing:
        raise Finished(exit_codes.FAILED)
