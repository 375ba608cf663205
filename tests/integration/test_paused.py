"""A process that was stopped, and whose run was resumed elsewhere, wakes up and can write nothing more."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import pytest

from lorchestra.schemas import RunStatus
from tests.integration.crash import project as projects
from tests.integration.crash.forks import Forks
from tests.integration.crash.project import Project

SEED = 7


@pytest.fixture
def pausing(forks: Forks, tmp_path: Path) -> Pausing:
    return Pausing(forks, tmp_path)


class Pausing:
    def __init__(self, forks: Forks, folder: Path) -> None:
        self.forks = forks
        self._folder = folder
        self._numbers = count()
        project = self.project()
        alone = forks.execute(project, "visits")
        self.effects = projects.effects(project)
        # From when the run is recorded until it is recorded as ended.
        self.events = alone.events
        self.points = range(alone.events.index("after open_run") + 1, alone.events.index("before close_run") + 2)

    def project(self) -> Project:
        return projects.make(self._folder / str(next(self._numbers)))

    def stop_at(self, project: Project, event: int) -> tuple[int, str]:
        """Start a run that stops there: its process, and its id."""
        stopped = self.forks.execute(project, "visits", stop_at=event)
        assert stopped.stopped, stopped.trace
        return stopped.stopped, project.runs()[0].run_id


def sampled(points: range, number: int) -> list[int]:
    return random.Random(SEED).sample(points, number)


def expect_nothing_written_after_waking(pausing: Pausing, stop_at: int) -> None:
    project = pausing.project()
    sleeper, run_id = pausing.stop_at(project, stop_at)
    resumed = pausing.forks.resume(project, run_id, is_impatient=True)
    assert resumed.status == "partial", resumed.trace
    data, said, runs = projects.effects(project), project.event_log(), project.runs()
    assert data == pausing.effects

    woken = pausing.forks.wake(sleeper)

    assert woken.error == "StaleAttempt", woken
    assert (projects.effects(project), project.event_log()) == (data, said)
    assert project.runs() == runs
    assert project.private_files() == []


def expect_the_resumed_run_to_go_on(pausing: Pausing, stop_at: int, resume_stops_at: int) -> None:
    project = pausing.project()
    sleeper, run_id = pausing.stop_at(project, stop_at)
    resumed = pausing.forks.resume(project, run_id, is_impatient=True, stop_at=resume_stops_at)

    woken = pausing.forks.wake(sleeper)
    if resumed.stopped:
        resumed = pausing.forks.wake(resumed.stopped)

    assert woken.error == "StaleAttempt", woken
    assert resumed.status == "partial", resumed
    assert projects.effects(project) == pausing.effects
    assert [run.status for run in project.runs()] == [RunStatus.PARTIAL]
    assert project.private_files() == []


def test_who_wakes_after_the_run_was_resumed_and_ended_writes_nothing(pausing: Pausing) -> None:
    for stop_at in sampled(pausing.points, 5):
        expect_nothing_written_after_waking(pausing, stop_at)


def test_who_wakes_while_the_run_is_being_resumed_is_in_nobodys_way(pausing: Pausing) -> None:
    for stop_at in sampled(pausing.points, 5):
        expect_the_resumed_run_to_go_on(pausing, stop_at, random.Random(stop_at).randint(2, 40))


@pytest.mark.prove
@pytest.mark.parametrize("part", range(4))
def test_stopped_at_every_event_and_woken_after_the_end(pausing: Pausing, part: int) -> None:
    for stop_at in pausing.points[part::4]:
        expect_nothing_written_after_waking(pausing, stop_at)


@pytest.mark.prove
@pytest.mark.parametrize("part", range(4))
def test_stopped_at_every_event_and_woken_in_the_midst(pausing: Pausing, part: int) -> None:
    for stop_at in pausing.points[part::4]:
        for resume_stops_at in sampled(range(2, 60), 4):
            expect_the_resumed_run_to_go_on(pausing, stop_at, resume_stops_at)
