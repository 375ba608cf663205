"""Running a pipeline from the command line: what is shown while it runs, and at its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from lorchestra.cli import output
from lorchestra.cli.state import State

if TYPE_CHECKING:
    from lorchestra.pipelines.result import PipelineResult
    from lorchestra.pipelines.tree import Leaf
    from lorchestra.reporting.observer import Field, Observer

_STATUS_WIDTH = len("interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What goes on while a pipeline runs, for whoever runs it."""

    state: State
    """With the level of the log: below a moving display only what matters is logged."""
    observer: Observer | None = None
    planned: Callable[[tuple[Leaf, ...]], None] | None = None


class Display(Protocol):
    """Where the progress is shown. Told by whichever thread does the work, one at a time."""

    def begin(self, total: int) -> None: ...

    def start(self, leaf: Leaf) -> None: ...

    def count(self, rows: int) -> None: ...

    def end(self, text: str, status: str) -> None: ...


@contextmanager
def progress(*, is_shown: bool, state: State) -> Iterator[Shown]:
    """On a terminal a moving display, elsewhere a line for each job as it ends; nothing where none is to be shown."""
    if not is_shown:
        yield Shown(state=state)
        return
    is_moving = sys.stdout is not None and sys.stdout.isatty() and state.log_level != "DEBUG"
    if not is_moving:
        progress = Progress(_Lines())
        yield Shown(state=state, observer=progress, planned=progress.plan)
        return
    # Imported here because it takes longer to import than most commands take to run.
    from lorchestra.cli.moving_display import moving_display

    with moving_display() as display:
        progress = Progress(display)
        yield Shown(state=replace(state, log_level="ERROR"), observer=progress, planned=progress.plan)


class Progress:
    """An Observer that follows the jobs of a pipeline by the ids of their runs."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._leaves: tuple[Leaf, ...] = ()
        self._by_run: dict[str, Leaf] = {}
        self._rows = 0
        self._began = datetime.now(UTC)

    def plan(self, leaves: tuple[Leaf, ...]) -> None:
        self._leaves = leaves
        self._display.begin(len(leaves))

    def emit(self, event: str, *, error: BaseException | None = None, **fields: Field) -> None:
        # Imported here because `--help` must not pay for it.
        from lorchestra.reporting import log

        run_id = str(log.bound_fields().get("run_id"))
        if event == "run.started" and not self._by_run:
            self._find_runs(run_id)
        leaf = self._by_run.get(run_id)
        if leaf is None:
            return
        if event == "run.started":
            self._rows, self._began = 0, datetime.now(UTC)
            self._display.start(leaf)
        elif event == "step.completed":
            self._rows += int(fields.get("record") or 0)
            self._display.count(self._rows)
        elif event == "run.ended":
            status = str(fields["status"])
            self._display.end(self._line(leaf, status), status)

    def _find_runs(self, root_run_id: str) -> None:
        """The first run to start is that of the pipeline; the ids of the others follow from its own."""
        # Imported here because `--help` must not pay for it.
        from lorchestra.pipelines.result import run_ids_of

        self._by_run = {run_ids_of(leaf, root_run_id)[-1]: leaf for leaf in self._leaves}

    def _line(self, leaf: Leaf, status: str) -> str:
        stage = max(len(one.stage) for one in self._leaves)
        job = max(len(one.job_id) for one in self._leaves)
        took = output.lasted(self._began, datetime.now(UTC))
        return f"{status:<{_STATUS_WIDTH}}  {leaf.stage:<{stage}}  {leaf.job_id:<{job}}  {rows(self._rows):>12}  {took}"


def rows(number: int) -> str:
    return output.plural(number, "row")


class _Lines:
    def begin(self, total: int) -> None:
        """Nothing is known of it yet."""

    def start(self, leaf: Leaf) -> None:
        """A line is written when it ends."""

    def count(self, rows: int) -> None:
        """The line says how many there were."""

    def end(self, text: str, status: str) -> None:
        output.line(text)
        # Whoever reads along does so through a pipe.
        sys.stdout.flush()


def print_result(result: PipelineResult, *, as_json: bool) -> None:
    if as_json:
        output.as_json(result.to_dict())
        return
    if result.run_id is None:
        output.error("cancelled while it waited for another run of the pipeline")
        return
    took = f"{result.duration_ms / 1000:.3f} s"
    output.line(f"{result.status}: pipeline {result.pipeline_id} in {took}, {_counted(result)}, run {result.run_id}")
    failed = [job for job in result.jobs if job.status == "failed"]
    for job in failed:
        output.error(f"error: {job.job_id}: {job.error}")
        if job.run_id:
            output.error(f"details: lorchestra runs show {job.run_id}")
    if not failed:
        # It failed by itself, as when it could not be recorded any more.
        for failure in result.failures:
            output.error(f"error: {failure['error']}")
    if result.status in ("failed", "cancelled"):
        output.error(f"continue it with: lorchestra runs resume {result.run_id}")


def _counted(result: PipelineResult) -> str:
    by_status: dict[str, int] = {}
    for job in result.jobs:
        by_status[job.status] = by_status.get(job.status, 0) + 1
    return f"{output.plural(len(result.jobs), 'job')}: {_listed(by_status)}"


def _listed(by_status: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {status.replace('_', ' ')}" for status, number in by_status.items())
