"""A day that is killed at any moment and resumed comes to what it comes to undisturbed."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from lorchestra.demo.project import COPIES
from lorchestra.run_store import RunFilter, SqliteRunStore
from lorchestra.schemas import RunStatus
from lorchestra.storacle.http_server import listen
from tests.clinic_day import Clinic, DayProject, small
from tests.data_plane import rows_in
from tests.integration.crash import killed_command

DAY = ("exec", "pipeline", "daily_all", "--resume", "--quiet")
PARTIAL = 1
SEED = 4


@dataclass(frozen=True, slots=True)
class Days:
    """Days of one clinic, each in a project of its own; the first was left alone."""

    clinic: Clinic
    folder: Path
    numbers: Iterator[int]
    undisturbed: dict[str, Any]
    events: int

    def project(self, **storacle: Any) -> DayProject:
        return self.clinic.project(self.folder / f"{next(self.numbers)}", **storacle)

    def kill(self, *places: int) -> None:
        """Kill a day when so many events have happened, then each resumption that many later; then let it end."""
        project = self.project()
        for place in places:
            killed = killed_command.run(project.root, *DAY, kill_at=place)
            assert killed.code == -signal.SIGKILL, killed.said
        if not _is_over(project):
            ended = killed_command.run(project.root, *DAY)
            # What an earlier attempt set aside is part of the run all the same.
            assert ended.code == PARTIAL, ended.said
        assert _left(project) == self.undisturbed


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    with Clinic(small()) as clinic:
        project = clinic.project(tmp_path / "undisturbed")
        ended = killed_command.run(project.root, *DAY)
        assert ended.code == PARTIAL, ended.said
        yield Days(clinic, tmp_path, count(), _left(project), ended.events)


def _is_over(project: DayProject) -> bool:
    """Whether the run was done when its process was killed, which was only about to end."""
    return _runs(project) == [("pipeline.daily_all", RunStatus.PARTIAL)]


def _runs(project: DayProject) -> list[tuple[str, RunStatus]]:
    store = SqliteRunStore(project.root / ".lorchestra")
    try:
        return [(run.job_id, run.status) for run in store.list_runs(RunFilter(outermost=True, limit=100))]
    finally:
        store.close()


def _left(project: DayProject) -> dict[str, Any]:
    """What there is for people, how far each provider was read, and what is still kept of the runs."""
    folder = project.root / ".lorchestra"
    state = {row["key"]: row["value"] for row in rows_in(folder / "data.db", "storacle", "_state")}
    private = [path.name for path in (folder / "private").rglob("*")]
    return {
        **project.all(),
        "runs": _runs(project),
        "state": state,
        "private": private,
        "files of copies": sorted(path.name for path in (project.root / COPIES).iterdir()),
    }


def _places(days: Days, seed: int, number: int) -> list[int]:
    """Events of the whole day, at random: the first, and how many later each of the others comes."""
    chosen = sorted(random.Random(seed).sample(range(1, days.events), number))
    return [chosen[0], *(later - sooner for sooner, later in pairwise(chosen))]


def test_a_day_that_is_killed_again_and_again_comes_to_the_same(days: Days) -> None:
    days.kill(*_places(days, SEED, 5))


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(5))
def test_killed_again_and_again(days: Days, seed: int) -> None:
    days.kill(*_places(days, seed, 5))


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(5))
def test_killed_once_anywhere(days: Days, seed: int) -> None:
    for place in random.Random(f"once {seed}").sample(range(1, days.events), 5):
        days.kill(place)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(5))
def test_a_storacle_that_is_killed_under_a_day_and_started_again(days: Days, seed: int) -> None:
    serving = days.project()
    # Kept for the service that comes after the first.
    with closing(listen("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    serve = ("storacle", "serve", "--port", str(port))
    project = days.project(kind="http", url=f"http://127.0.0.1:{port}")
    kill_at = random.Random(seed).randrange(200, days.events * 3 // 4)
    with killed_command.started(serving.root, *serve, kill_at=kill_at) as first:
        assert first.stdout.readline().startswith("storacle serves")
        with killed_command.started(project.root, *DAY) as day:
            assert first.wait(killed_command.DEADLINE_S) == -signal.SIGKILL
            with killed_command.started(serving.root, *serve) as second:
                assert second.stdout.readline().startswith("storacle serves")
                # What it was sent in vain may be sent again in time; if not, the run is resumed.
                if day.wait(killed_command.DEADLINE_S) != PARTIAL:
                    ended = killed_command.run(project.root, *DAY)
                    assert ended.code == PARTIAL, ended.said
    assert serving.all() == {name: days.undisturbed[name] for name in ("tables", "copies", "pages")}
