"""Who lives, who may write, and whose heart beats."""

from __future__ import annotations

import fcntl
import logging
import threading
from pathlib import Path

import pytest

from lorchestra.errors import StoreError
from lorchestra.run_store import liveness
from lorchestra.run_store.heartbeat import Heartbeat
from lorchestra.run_store.write_lock import WriteLock


def test_a_worker_is_alive_while_it_holds_its_lock(tmp_path: Path) -> None:
    worker = liveness.WorkerLock(tmp_path / "alive")
    assert not liveness.is_held(tmp_path / "alive", worker.worker_id)
    worker.hold()
    worker.hold()
    liveness.sweep(tmp_path / "alive")
    assert liveness.is_held(tmp_path / "alive", worker.worker_id)
    worker.release()
    worker.release()
    assert not liveness.is_held(tmp_path / "alive", worker.worker_id)
    assert list((tmp_path / "alive").iterdir()) == []


def test_the_lock_of_a_dead_worker_is_free_and_is_swept(tmp_path: Path) -> None:
    (tmp_path / "dead.lock").touch()
    assert not liveness.is_held(tmp_path, "dead")
    liveness.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_those_who_probe_a_dead_worker_at_once_do_not_take_each_other_for_it(tmp_path: Path) -> None:
    (tmp_path / "dead.lock").touch()
    with (tmp_path / "dead.lock").open() as probe:
        fcntl.flock(probe, fcntl.LOCK_SH)
        assert not liveness.is_held(tmp_path, "dead")


def test_a_lock_file_that_was_swept_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    swept: list[Path] = []

    def sweep_first(descriptor: int, how: int) -> None:
        if not swept:
            (path,) = tmp_path.glob("*.lock")
            path.unlink()
            swept.append(path)
        flock(descriptor, how)

    worker = liveness.WorkerLock(tmp_path)
    monkeypatch.setattr(fcntl, "flock", sweep_first)
    worker.hold()

    assert swept
    assert liveness.is_held(tmp_path, worker.worker_id)
    worker.release()


def test_who_waits_for_the_write_lock_gets_it_when_it_is_released(tmp_path: Path) -> None:
    first, second = (WriteLock(tmp_path / "lock", patience_s=10) for _ in range(2))
    first.acquire()
    got = threading.Event()

    def wait() -> None:
        second.acquire()
        got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.wait(0.02)
    first.release()
    assert got.wait(5)
    waiting.join()
    first.close()
    second.close()


def test_who_waits_too_long_for_the_write_lock_is_told_where_it_is(tmp_path: Path) -> None:
    first, second = (WriteLock(tmp_path / "lock", patience_s=0.01) for _ in range(2))
    first.acquire()
    with pytest.raises(StoreError, match=r"another process has held .*lock for 0\.01 s"):
        second.acquire()
    first.close()
    second.acquire()
    second.close()


class Heart:
    def __init__(self) -> None:
        self.wanted = True
        self.beats = threading.Semaphore(0)
        self.failing = False
        self.heartbeat = Heartbeat(self.beat, is_wanted=lambda: self.wanted, every_s=0.001)

    def beat(self) -> None:
        self.beats.release()
        if self.failing:
            raise StoreError("the disk is full")


def heart_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lorchestra-heartbeat"]


def test_a_heart_beats_until_it_is_stopped() -> None:
    heart = Heart()
    heart.heartbeat.ensure()
    heart.heartbeat.ensure()
    assert len(heart_threads()) == 1
    for _ in range(3):
        assert heart.beats.acquire(timeout=5)
    heart.heartbeat.stop()
    assert heart_threads() == []
    heart.heartbeat.ensure()
    assert heart_threads() == []


def test_a_heart_rests_when_nobody_wants_it_and_beats_again_when_somebody_does() -> None:
    heart = Heart()
    heart.heartbeat.ensure()
    (thread,) = heart_threads()
    heart.wanted = False
    thread.join(5)
    assert heart_threads() == []

    heart.wanted = True
    heart.heartbeat.ensure()
    assert heart.beats.acquire(timeout=5)
    heart.heartbeat.stop()


def test_a_beat_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    heart = Heart()
    heart.failing = True
    with caplog.at_level(logging.WARNING):
        heart.heartbeat.ensure()
        for _ in range(3):
            assert heart.beats.acquire(timeout=5)
        heart.heartbeat.stop()
    assert {record.message for record in caplog.records} == {"store.heartbeat_failed"}
    assert len(caplog.records) >= 2
