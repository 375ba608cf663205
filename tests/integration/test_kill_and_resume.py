"""Killed at any moment and resumed, a run leaves the data as if it had never been killed: nothing lost, nothing twice.

A first run, left alone, counts its events: each write to the run store and to the private values, each message to
storacle before it is sent and before its answer is seen, each item. Then, for each event, a process is killed right
there, and the operator goes on in a new one.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lorchestra.schemas import RunRecord, RunStatus
from tests.integration.crash import project as projects
from tests.integration.crash.forks import Forks, Worked
from tests.integration.crash.project import Project

SEED = 20
PARTS = 4
"""The exhaustive loops are split, so that they can be shared out among processors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    job_id: str
    net: str = "ports"
    """Which events are counted: those of the ports, or whatever happens to files, locks and databases."""
    has_own_service: bool = False
    """Whether storacle is another process, or the killed one holds it and only its file is left."""


CASES = {
    "five steps": Case(job_id="visits"),
    "five steps, every statement": Case(job_id="visits", net="statements"),
    "five steps, storacle apart": Case(job_id="visits", has_own_service=True),
    "parent and child": Case(job_id="month"),
    "parent and child, every statement": Case(job_id="month", net="statements"),
    "pipeline in a pipeline": Case(job_id="pipeline.week"),
}
# The longest are for the exhaustive loops; the others hold it all, one by one.
_LONGEST = ("parent and child, every statement", "pipeline in a pipeline")
every_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name, marks=pytest.mark.prove if name in _LONGEST else ()) for name, case in CASES.items()],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """What a run that was left alone did: what all others are held against."""

    events: tuple[str, ...]
    effects: dict[str, Any]
    status: RunStatus
    items: dict[str, Any]


@pytest.fixture
def trial(forks: Forks, tmp_path: Path) -> Callable[[Case], Trial]:
    return lambda case: Trial(forks, tmp_path, case)


class Trial:
    def __init__(self, forks: Forks, folder: Path, case: Case) -> None:
        self._forks = forks
        self._folder = folder
        self._numbers = count()
        self._case = case
        self.undisturbed = self._leave_alone()

    @property
    def kill_points(self) -> range:
        return range(1, len(self.undisturbed.events) + 1)

    def kill(self, *kills: int) -> None:
        """Kill a run at an event, then each resume at one of its own, and then let it come to its end."""
        with self._project() as (project, order):
            killed = self._forks.execute(project, self._case.job_id, kill_at=kills[0], **order)
            assert killed.signal == signal.SIGKILL
            left = [run.status for run in project.runs()]
            assert left in self._what_may_be_left(kills[0])
            for kill_at in (*kills[1:], None):
                self._go_on(project, kill_at=kill_at, **order)
            self._expect_as_if_undisturbed(project)
            if len(kills) == 1:
                (run,) = project.runs()
                assert len(run.attempts) == (2 if left == [RunStatus.INTERRUPTED] else 1)

    def _what_may_be_left(self, kill_at: int) -> tuple[list[RunStatus], ...]:
        """How the runs may read after the kill. Two ways only while a run, or its end, is just being recorded."""
        events = self.undisturbed.events
        opening, opened = events.index("before open_run") + 1, events.index("after open_run") + 1
        # The last to end is the run that nobody started but the operator.
        closing, closed = (len(events) - events[::-1].index(f"{when} close_run") for when in ("before", "after"))
        none: list[RunStatus] = []
        interrupted, ended = [RunStatus.INTERRUPTED], [self._end]
        if kill_at <= opening:
            return (none,)
        if kill_at < opened:
            return none, interrupted
        if kill_at <= closing:
            return (interrupted,)
        return (interrupted, ended) if kill_at < closed else (ended,)

    def _expect_as_if_undisturbed(self, project: Project) -> None:
        (run,) = project.runs()
        assert projects.effects(project) == self.undisturbed.effects
        assert run.status is self._end
        assert _items(run) == self.undisturbed.items
        assert [attempt.status for attempt in run.attempts[:-1]] == [RunStatus.INTERRUPTED] * (len(run.attempts) - 1)
        assert project.private_files() == []

    def _go_on(self, project: Project, **order: Any) -> Worked:
        """What an operator does: resume the run that reads interrupted, or run the job when no run is recorded."""
        runs = project.runs()
        if not runs:
            worked = self._forks.execute(project, self._case.job_id, **order)
        elif runs[0].status is self._end:
            return Worked(signal=0)
        else:
            worked = self._forks.resume(project, runs[0].run_id, **order)
        assert worked.error == ""
        assert worked.signal in (0, signal.SIGKILL)
        return worked

    @property
    def _end(self) -> RunStatus:
        return self.undisturbed.status

    def _leave_alone(self) -> Undisturbed:
        with self._project() as (project, order):
            worked = self._forks.execute(project, self._case.job_id, **order)
            (run,) = project.runs()
            assert (worked.signal, worked.error, worked.status) == (0, "", "partial")
            return Undisturbed(
                events=worked.events,
                effects=projects.effects(project),
                status=run.status,
                items=_items(run),
            )

    @contextmanager
    def _project(self) -> Iterator[tuple[Project, dict[str, Any]]]:
        project = projects.make(self._folder / f"{next(self._numbers)}")
        with self._service(project) as where:
            yield project, {"net": self._case.net, **where}

    @contextmanager
    def _service(self, project: Project) -> Iterator[dict[str, Any]]:
        if not self._case.has_own_service:
            yield {}
            return
        # The name of a socket has to be short.
        with TemporaryDirectory(prefix="storacle") as folder:
            socket = Path(folder) / "socket"
            pid = self._forks.serve(project, socket)
            try:
                yield {"socket": str(socket)}
            finally:
                os.kill(pid, signal.SIGKILL)


def _items(run: RunRecord) -> dict[str, Any]:
    """What the steps counted. How much of it was sent in vain depends on where a run was killed."""
    return {
        outcome.step_id: sum(outcome.counts.values()) if "applied" in outcome.counts else dict(outcome.counts)
        for outcome in run.step_outcomes
    }


def sampled(points: range, number: int) -> list[int]:
    return random.Random(SEED).sample(points, number)


def test_the_events_are_every_write_and_every_effect(trial: Callable[[Case], Trial]) -> None:
    events = set(trial(CASES["five steps"]).undisturbed.events)

    writes = ("open_run", "spill fetch.items", "put fetch.output", "advance", "close_run", "remove")
    messages = ("run.open", "storacle.execute_plan")
    assert events >= {f"{when} {name}" for when in ("before", "after") for name in (*writes, *messages)}
    assert events >= {"item", "line of fetch.items"}


@every_case
def test_a_run_that_is_killed_and_resumed_is_as_if_never_killed(trial: Callable[[Case], Trial], case: Case) -> None:
    tried = trial(case)
    for kill_at in sampled(tried.kill_points, 6):
        tried.kill(kill_at)


@every_case
def test_a_resume_that_is_killed_too_is_resumed(trial: Callable[[Case], Trial], case: Case) -> None:
    tried = trial(case)
    for kill_at in sampled(tried.kill_points, 3):
        tried.kill(kill_at, *sampled(tried.kill_points, 2))


@pytest.mark.prove
@pytest.mark.parametrize("part", range(PARTS))
@every_case
def test_killed_at_every_event(trial: Callable[[Case], Trial], case: Case, part: int) -> None:
    tried = trial(case)
    for kill_at in tried.kill_points[part::PARTS]:
        tried.kill(kill_at)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(PARTS))
@every_case
def test_killed_again_and_again(trial: Callable[[Case], Trial], case: Case, seed: int) -> None:
    tried = trial(case)
    places = random.Random(seed)
    for _ in range(12):
        tried.kill(*places.choices(tried.kill_points, k=places.randint(2, 5)))
