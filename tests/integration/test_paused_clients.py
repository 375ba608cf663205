"""A client that was stopped in the midst of its plan, while another opened its run anew, wakes up and does no harm."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from tests.integration.crash.forks import Forks, Worked
from tests.integration.plan_process import contents, integrity

SEED, OPS = 1, 20
"""So few ops has the plan whose every statement is a place to be stopped at."""
PARTS = 4


class Pausing:
    def __init__(self, first: Forks, second: Forks, folder: Path) -> None:
        self._first, self._second = first, second
        self._folder = folder
        alone = folder / "alone" / "data.db"
        events = first.send_plan(alone, seed=SEED, ops=OPS).events
        self.contents = contents(alone)
        self.free_points = _free_points(events)
        """Where nobody has to wait for the one who is stopped."""
        self.other_points = [at for at in range(1, len(events) + 1) if at not in self.free_points]

    def expect_refused_and_without_effect(self, stop_at: int) -> None:
        data_path, sleeper = self._stop(stop_at)
        assert self._send_by_another(data_path).error == ""
        assert contents(data_path) == self.contents

        woken = self._first.wake(sleeper)

        assert (woken.error, "fenced" in woken.trace) == ("PlanRefused", True), woken
        assert contents(data_path) == self.contents

    def expect_one_effect(self, stop_at: int) -> None:
        """The other may have to wait for the sleeper; whichever of them opened the run last goes on to the end."""
        data_path, sleeper = self._stop(stop_at)
        with ThreadPoolExecutor(1) as threads:
            other = threads.submit(self._send_by_another, data_path)
            wait([other], timeout=0.02)
            woken = self._first.wake(sleeper)
            ends = [woken, other.result()]
        assert {end.error for end in ends} <= {"", "PlanRefused"}, ends
        assert all("fenced" in end.trace for end in ends if end.error), ends
        assert [end.error for end in ends].count("") >= 1
        assert contents(data_path) == self.contents
        assert set(integrity(data_path)) == {"ok"}

    def _stop(self, at: int) -> tuple[Path, int]:
        data_path = self._folder / str(at) / "data.db"
        stopped = self._first.send_plan(data_path, seed=SEED, ops=OPS, stop_at=at)
        assert stopped.stopped, stopped
        return data_path, stopped.stopped

    def _send_by_another(self, data_path: Path) -> Worked:
        return self._second.send_plan(data_path, seed=SEED, ops=OPS)


def _free_points(events: tuple[str, ...]) -> list[int]:
    """Where the run is open, and neither a transaction nor the lock on a folder is held."""
    points = []
    depth = commits = 0
    is_locked = False
    for at, name in enumerate(events, start=1):
        # The file is made by two transactions, and the third opens the run.
        if depth == 0 and not is_locked and commits >= 3:
            points.append(at)
        is_locked = is_locked or name == "fcntl.flock"
        depth += {"BEGIN": 1, "COMMIT": -1, "ROLLBACK": -1}.get(name, 0)
        if name == "COMMIT" and depth == 0:
            commits += 1
            # The op that was carried out elsewhere is in the ledger, and what held the lock is done.
            is_locked = False
    return points


@pytest.fixture(scope="module")
def others() -> Iterator[Forks]:
    others = Forks()
    yield others
    others.close()


@pytest.fixture
def pausing(forks: Forks, others: Forks, tmp_path: Path) -> Pausing:
    return Pausing(forks, others, tmp_path)


def sampled(points: list[int], number: int) -> list[int]:
    return random.Random(SEED).sample(points, number)


def test_a_client_that_wakes_after_its_run_was_opened_anew_is_refused_and_has_no_effect(pausing: Pausing) -> None:
    for stop_at in sampled(pausing.free_points, 6):
        pausing.expect_refused_and_without_effect(stop_at)


def test_a_client_that_wakes_while_it_holds_what_another_waits_for_ends_its_unit_or_is_refused(
    pausing: Pausing,
) -> None:
    for stop_at in sampled(pausing.other_points, 6):
        pausing.expect_one_effect(stop_at)


@pytest.mark.prove
def test_stopped_wherever_nobody_waits(pausing: Pausing) -> None:
    for stop_at in pausing.free_points:
        pausing.expect_refused_and_without_effect(stop_at)


@pytest.mark.prove
@pytest.mark.parametrize("part", range(PARTS))
def test_stopped_wherever_somebody_may_wait(pausing: Pausing, part: int) -> None:
    for stop_at in pausing.other_points[part::PARTS]:
        pausing.expect_one_effect(stop_at)
