"""The progress of a pipeline on a terminal: a line for each job that ended, and below them the one at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from lorchestra.cli import output

if TYPE_CHECKING:
    from lorchestra.pipelines.tree import Leaf

_COLOURS = {"completed": "green", "partial": "yellow", "failed": "red", "cancelled": "magenta"}


@contextmanager
def moving_display() -> Iterator[MovingDisplay]:
    console = Console(highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # What is logged meanwhile is written above the display, and not into it.
    with Progress(*columns, console=console, transient=True, redirect_stderr=True, redirect_stdout=True) as progress:
        yield MovingDisplay(progress)


class MovingDisplay:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._words = ""

    def begin(self, total: int) -> None:
        self._progress.update(self._task, total=total)

    def start(self, leaf: Leaf) -> None:
        self._words = escape(f"{leaf.stage}  {leaf.job_id}")
        self._progress.update(self._task, description=self._words)

    def count(self, rows: int) -> None:
        self._progress.update(self._task, description=f"{self._words}  {output.plural(rows, 'row')}")

    def end(self, text: str, status: str) -> None:
        self._progress.console.print(Text(text, style=_COLOURS.get(status, "")), soft_wrap=True)
        self._progress.advance(self._task)
