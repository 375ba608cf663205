"""Killed, interrupted, on a full disk: a unit is in the data file whole or not at all, and can be sent again."""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import pytest

from lorchestra.errors import PermanentError
from lorchestra.storacle import OpStatus, PlanRefused
from lorchestra.storacle.error_codes import ErrorCode
from tests.data_plane import DataPlane
from tests.forked_python import TalkingPython
from tests.integration import small_disk
from tests.integration.crash.forks import Forks
from tests.integration.data_units import client_of, expect_units, submit, unit
from tests.integration.plan_process import META, OPS, contents, integrity, mixed_plan, plane, send, sending

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]

SHORT = 20
"""So few ops has the plan whose every statement is a place to be killed at."""
PARTS = 4
"""The exhaustive loop is split, so that it can be shared out among processors."""


# Killed


class Killing:
    """A short plan, killed at a statement or at what Python does to a file, and sent again."""

    def __init__(self, forks: Forks, folder: Path) -> None:
        self._forks = forks
        self._folder = folder
        whole = folder / "whole" / "data.db"
        self.points = range(1, len(forks.send_plan(whole, seed=1, ops=SHORT).events) + 1)
        stepwise = folder / "stepwise.db"
        # What may be left is what is there before the first unit, or after one of them.
        self.states = [contents(stepwise), *(contents(stepwise) for _ in sending(stepwise, mixed_plan(1, SHORT)))]
        assert self.states[-1] == contents(whole)

    def kill(self, at: int) -> None:
        data_path = self._folder / str(at) / "data.db"
        assert self._forks.send_plan(data_path, seed=1, ops=SHORT, kill_at=at).signal == signal.SIGKILL
        assert self._is_between_units(contents(data_path))
        assert self._forks.send_plan(data_path, seed=1, ops=SHORT).error == ""
        assert contents(data_path) == self.states[-1]

    def _is_between_units(self, left: dict[str, Any]) -> bool:
        """What lies elsewhere may be one op ahead of the data, which learn of it afterwards."""
        return (
            any(
                left in (before, {**before, "elsewhere": after["elsewhere"]}) for before, after in pairwise(self.states)
            )
            or left == self.states[-1]
        )


@pytest.fixture
def killing(forks: Forks, tmp_path: Path) -> Killing:
    return Killing(forks, tmp_path)


def test_killed_at_a_statement_a_unit_is_whole_or_undone_and_the_plan_can_be_sent_again(killing: Killing) -> None:
    for at in random.Random(3).sample(killing.points, 14):
        killing.kill(at)


@pytest.mark.prove
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_statement(killing: Killing, part: int) -> None:
    for at in killing.points[part::PARTS]:
        killing.kill(at)


@contextmanager
def sender(data_path: Path, seed: int, most_bytes: int = 0) -> Iterator[TalkingPython]:
    arguments = (str(data_path), str(seed), "--most-bytes", str(most_bytes))
    with TalkingPython("tests.integration.plan_process", *arguments, strict=False) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: TalkingPython) -> list[str]:
    """All that it said until its end; a line that a kill cut off was not said."""
    return [line.strip() for line in process.stdout if line.endswith("\n")]


def kill_until_done(data_path: Path, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        with sender(data_path, seed) as process:
            assert process.stdout.readline() == "begun\n"
            time.sleep(chance.random() * 0.15)
            process.kill()
            answered = max((int(word) for word in said(process)), default=0)
        with DataPlane(data_path) as data:
            # Whatever was answered is there.
            assert data.effects >= answered
    with sender(data_path, seed) as process:
        assert process.wait(60) == 0


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.prove)])
def test_a_plan_whose_process_is_killed_and_sent_again_ends_as_an_undisturbed_one(
    data_path: Path, tmp_path: Path, seed: int
) -> None:
    kill_until_done(data_path, seed, kills=3)
    send(tmp_path / "undisturbed.db", mixed_plan(seed))
    assert contents(data_path) == contents(tmp_path / "undisturbed.db")


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(10, 22))
def test_many_kills(data_path: Path, tmp_path: Path, seed: int) -> None:
    kill_until_done(data_path, seed, kills=15)
    send(tmp_path / "undisturbed.db", mixed_plan(seed))
    assert contents(data_path) == contents(tmp_path / "undisturbed.db")


def is_interrupted(work: Callable[[], object], *, at: int) -> bool:
    """Do the work, with an interrupt at a line of the backend's; whether it had so many."""
    lines = count(1)

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        file = frame.f_code.co_filename

        if "/backends/sqlite/" not in file:
            return None
        if event == "line" and next(lines) == at:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_interrupted_at_any_line_of_its_work_a_unit_is_whole_or_undone(data: DataPlane) -> None:
    for done, line in enumerate(count(1, 23)):
        if not is_interrupted(partial(submit, data, *unit(done)), at=line):
            break
        has_landed = data.effects > 2 * done
        expect_units(data, done + has_landed)
        assert submit(data, *unit(done)) == {OpStatus.ALREADY if has_landed else OpStatus.APPLIED}
    assert done > 10


# Disks


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def log_size(data_path: Path) -> int:
    return data_path.with_name(f"{data_path.name}-wal").stat().st_size


@pytest.mark.parametrize("room", [0, 1, 20_000, 60_000])
def test_a_full_disk_refuses_the_unit_and_leaves_all_as_it_was(data_path: Path, data: DataPlane, room: int) -> None:
    submit(data, *unit(0))
    with file_size_limit(log_size(data_path) + room), pytest.raises(PlanRefused) as caught:
        submit(data, *unit(1))
    assert caught.value.code == ErrorCode.STORAGE_FULL
    expect_units(data, 1)
    assert submit(data, *unit(1)) == {OpStatus.APPLIED}
    expect_units(data, 2)
    with DataPlane(data_path) as again:
        expect_units(again, 2)


def test_a_run_that_could_not_be_opened_on_a_full_disk_is_not_open(data_path: Path, data: DataPlane) -> None:
    with file_size_limit(log_size(data_path)), pytest.raises(PermanentError, match="storage_full"):
        client_of(data).open_run(META)
    assert submit(data, *unit(0)) == {OpStatus.APPLIED}
    assert client_of(data).open_run(META) == 1


LIMITS = [400_000, *(pytest.param(limit, marks=pytest.mark.prove) for limit in range(250_000, 2_000_000, 130_000))]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_plan_that_a_limit_on_files_cut_short_completes_once_there_is_room(
    data_path: Path, tmp_path: Path, limit: int
) -> None:
    plane(data_path).close()
    with sender(data_path, 3, most_bytes=limit) as process:
        begun, *answered, last = said(process)
    assert process.returncode == 3
    assert (begun, last) == ("begun", ErrorCode.STORAGE_FULL.name)
    assert set(integrity(data_path)) == {"ok"}
    with plane(data_path) as data:
        assert data.effects == int(answered[-1] if answered else 0)

    send(data_path, mixed_plan(3))
    send(tmp_path / "undisturbed.db", mixed_plan(3))
    assert contents(data_path) == contents(tmp_path / "undisturbed.db")


ROOMS = [850_000, *(pytest.param(room, marks=pytest.mark.prove) for room in range(250_000, 2_000_000, 130_000))]


@pytest.mark.parametrize("room", ROOMS)
def test_a_plan_that_a_full_disk_cut_short_completes_once_there_is_room(tmp_path: Path, room: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not small_disk.may_be_mounted(disk):
        pytest.skip("this system lets nobody mount a disk of memory; the limit on files stands in for it")
    seen = small_disk.run(disk, 3, room)
    assert seen["code"] == ErrorCode.STORAGE_FULL.name
    assert set(seen["integrity"]) == {"ok"}
    assert seen["effects"] == seen["answered"] < OPS
    send(tmp_path / "undisturbed.db", mixed_plan(3))
    assert seen["contents"] == json.loads(json.dumps(contents(tmp_path / "undisturbed.db")))
