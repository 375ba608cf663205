"""The SQLite run store among processes that are killed, stopped, and in each other's way."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lorchestra.run_store import RunFilter, SqliteRunStore
from lorchestra.schemas import RunStatus
from tests.factories import NOW, job_def, manifest, run_record
from tests.integration.store_process import STALE_AFTER_S, StoreProcess

RUN = "01HWRUN"


@pytest.fixture
def processes(folder: Path) -> Iterator[list[StoreProcess]]:
    """Two, each with the store open."""
    with ExitStack() as stack:
        started = [stack.enter_context(StoreProcess(folder)) for _ in range(2)]
        for process in started:
            process.send("open_store")
        assert [process.answer() for process in started] == ["opened", "opened"]
        yield started


def open_run(store: SqliteRunStore, run_id: str = RUN, *, exclusive: bool = True) -> None:
    store.open_run(run_record(run_id=run_id), job_def(), [manifest(run_id)], exclusive=exclusive)


def eventually(store: SqliteRunStore, status: RunStatus, *, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while store.get(RUN).status is not status:
        assert time.monotonic() < deadline, f"the run does not read {status}"
        time.sleep(0.01)


def test_processes_that_make_a_store_at_once_agree(folder: Path) -> None:
    folder.parent.mkdir()
    with ExitStack() as stack:
        processes = [stack.enter_context(StoreProcess(folder)) for _ in range(4)]
        for process in processes:
            process.send("open_store")
            process.send("digest")
            process.send("open_run", f"R{processes.index(process)}", False)
        answers = [[process.answer() for _ in range(3)] for process in processes]

    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == "opened"
    assert answers[0][2] == "opened"
    assert not list(folder.glob("*~*"))


def test_processes_write_at_once_without_an_error(processes: list[StoreProcess], store: SqliteRunStore) -> None:
    for name, process in zip("ab", processes, strict=True):
        process.send("work", name, 40)
    for _ in range(20):
        store.list_runs(RunFilter())
    assert [type(process.answer()) for process in processes] == [float, float]

    records = store.list_runs(RunFilter(status=RunStatus.COMPLETED, limit=1000))
    assert {record.run_id for record in records} == {f"{name}-{number}" for name in "ab" for number in range(40)}
    assert len(store.get("a-39").step_outcomes) == 1


def test_stores_open_and_close_beside_a_writing_one(processes: list[StoreProcess], folder: Path) -> None:
    processes[0].send("work", "a", 60)
    for _ in range(30):
        assert [processes[1].ask("close_store"), processes[1].ask("open_store")] == ["closed", "opened"]
    assert isinstance(processes[0].answer(), float)


def test_a_killed_process_leaves_an_interrupted_run_at_once(
    processes: list[StoreProcess], store: SqliteRunStore, folder: Path
) -> None:
    processes[0].ask("open_run", RUN)
    assert processes[1].ask("status", RUN) == "running"

    processes[0].kill()

    assert processes[1].ask("status", RUN) == "interrupted"
    kept = store.get(RUN)
    assert (kept.status, kept.completed_at, kept.attempts[0].status) == (
        RunStatus.INTERRUPTED,
        None,
        RunStatus.INTERRUPTED,
    )
    assert [record.run_id for record in store.list_runs(RunFilter(status=RunStatus.INTERRUPTED))] == [RUN]
    assert store.list_runs(RunFilter(status=RunStatus.RUNNING)) == ()


def test_a_killed_process_blocks_nobody(processes: list[StoreProcess]) -> None:
    processes[0].ask("open_run", RUN)
    assert processes[1].ask("open_run", "R2")["error"] == "JobBusy"
    processes[0].kill()
    assert processes[1].ask("open_run", "R2") == "opened"
    assert processes[1].ask("open_attempt", RUN) == 2


def test_a_process_killed_in_the_middle_of_writing_leaves_whole_steps(
    processes: list[StoreProcess], store: SqliteRunStore, folder: Path
) -> None:
    processes[0].ask("open_run", RUN)
    processes[0].send("advance", RUN, 1, 100_000)
    time.sleep(0.02)
    processes[0].kill()

    with sqlite3.connect(folder / "runs.db") as connection:
        written = [
            json.loads(body)
            for (body,) in connection.execute("SELECT opening FROM runs UNION ALL SELECT body FROM entries")
        ]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert sum(len(entry["manifests"]) for entry in written) == sum(len(entry["outcomes"]) for entry in written) + 1
    assert store.open_attempt(RUN, at=NOW) == 2


def test_a_child_of_a_killed_process_does_not_keep_its_run_alive(
    processes: list[StoreProcess], store: SqliteRunStore
) -> None:
    processes[0].ask("open_run", RUN)
    child = processes[0].ask("leave_a_child_behind")
    try:
        processes[0].kill()
        assert store.get(RUN).status is RunStatus.INTERRUPTED
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_working_process_stays_alive_however_long_it_takes(
    processes: list[StoreProcess], store: SqliteRunStore
) -> None:
    processes[0].ask("open_run", RUN)
    until = time.monotonic() + 2 * STALE_AFTER_S
    while time.monotonic() < until:
        assert store.get(RUN).status is RunStatus.RUNNING
        time.sleep(0.02)


def test_a_stopped_process_reads_interrupted_after_a_while_and_may_not_write_when_it_wakes(
    processes: list[StoreProcess], store: SqliteRunStore
) -> None:
    processes[0].ask("open_run", RUN)
    processes[0].signal(signal.SIGSTOP)
    eventually(store, RunStatus.INTERRUPTED)

    assert store.open_attempt(RUN, at=NOW) == 2
    processes[0].signal(signal.SIGCONT)

    assert processes[0].ask("advance", RUN, 1)["error"] == "StaleAttempt"
    assert processes[0].ask("close_run", RUN, 1)["error"] == "StaleAttempt"
    assert store.get(RUN).status is RunStatus.RUNNING
    assert store.get(RUN).step_outcomes == ()


def test_a_stopped_process_that_was_replaced_by_a_new_run_may_not_write_when_it_wakes(
    processes: list[StoreProcess], store: SqliteRunStore
) -> None:
    processes[0].ask("open_run", RUN)
    processes[0].signal(signal.SIGSTOP)
    eventually(store, RunStatus.INTERRUPTED)

    open_run(store, "R2")
    processes[0].signal(signal.SIGCONT)

    assert processes[0].ask("advance", RUN, 1)["error"] == "StaleAttempt"
    assert store.get(RUN).status is RunStatus.INTERRUPTED


def test_a_stopped_process_that_nobody_replaced_goes_on(processes: list[StoreProcess], store: SqliteRunStore) -> None:
    processes[0].ask("open_run", RUN)
    processes[0].signal(signal.SIGSTOP)
    eventually(store, RunStatus.INTERRUPTED)

    processes[0].signal(signal.SIGCONT)

    eventually(store, RunStatus.RUNNING)
    assert processes[0].ask("close_run", RUN, 1) == "closed"


@pytest.mark.parametrize("action", ["open_attempt", "open_run"])
def test_of_two_processes_that_claim_a_job_at_once_one_wins(
    processes: list[StoreProcess], store: SqliteRunStore, action: str
) -> None:
    for number in range(10):
        run_id = f"R{number}"
        if action == "open_attempt":
            open_run(store, run_id)
            store.close_run(run_id, 1, status=RunStatus.FAILED, at=NOW)
        for name, process in zip("ab", processes, strict=True):
            process.send(action, run_id if action == "open_attempt" else f"{run_id}{name}")
        answers = [process.answer() for process in processes]
        won = [answer for answer in answers if answer in ("opened", 2)]
        lost = [answer["error"] for answer in answers if answer not in ("opened", 2)]
        assert (len(won), lost) == (1, ["JobBusy"])
        (running,) = store.list_runs(RunFilter(status=RunStatus.RUNNING))
        store.close_run(running.run_id, 2 if action == "open_attempt" else 1, status=RunStatus.COMPLETED, at=NOW)


def test_a_forked_process_is_told_to_open_a_store_of_its_own(processes: list[StoreProcess]) -> None:
    processes[0].ask("open_run", RUN)
    assert "before this process was forked" in processes[0].ask("advance_in_a_fork", RUN)
    assert processes[0].ask("advance", RUN, 1) == "advanced"


def test_lock_files_of_the_dead_are_swept_and_those_of_the_living_stay(
    processes: list[StoreProcess], folder: Path
) -> None:
    for name, process in zip("ab", processes, strict=True):
        process.ask("open_run", name, False)
    assert len(list(folder.glob("alive/*.lock"))) == 2

    processes[0].kill()
    SqliteRunStore(folder).close()

    assert len(list(folder.glob("alive/*.lock"))) == 1
    assert processes[1].ask("status", "b") == "running"
    assert processes[1].ask("status", "a") == "interrupted"
