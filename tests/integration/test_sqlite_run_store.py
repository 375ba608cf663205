"""The SQLite run store on a disk: what it makes, keeps and prunes, and how it goes on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lorchestra.clock import FixedClock, SystemClock
from lorchestra.errors import JobBusy, StaleAttempt, StoreError
from lorchestra.run_store import RunFilter, SqliteRunStore
from lorchestra.schemas import RunRecord, RunStatus
from tests.factories import NOW, at, job_def, manifest, outcome, run_record
from tests.integration.store_process import StoreProcess

RUN = "01HWRUN"


def open_run(store: SqliteRunStore, run_id: str = RUN, *, exclusive: bool = True) -> None:
    store.open_run(run_record(run_id=run_id), job_def(), [manifest(run_id)], exclusive=exclusive)


def test_a_store_is_there_again_when_it_is_opened_again(folder: Path) -> None:
    first = SqliteRunStore(folder)
    open_run(first)
    first.advance(RUN, 1, outcomes=[outcome()], manifests=[manifest(RUN, "persist")])
    first.close_run(RUN, 1, status=RunStatus.FAILED, at=at(1))
    first.private.put(RUN, "output", {"a": 1})
    before, digest = first.get(RUN), first.digester.value("x")
    first.close()

    second = SqliteRunStore(folder)
    assert second.get(RUN) == before
    assert [kept.step_id for kept in second.manifests(RUN)] == ["fetch", "persist"]
    assert second.definition(before.job_def_sha256) == job_def().canonical()
    assert second.private.get(RUN, "output") == {"a": 1}
    assert second.digester.value("x") == digest
    second.close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_everything_is_private_whatever_the_umask(folder: Path, umask: int) -> None:
    folder.parent.mkdir()
    with StoreProcess(folder, umask=umask) as process:
        for action in (
            ["open_store"],
            ["open_run", RUN],
            ["put", RUN, 10],
            ["spill", RUN, 5000],
            ["digest"],
            ["advance", RUN, 1],
        ):
            assert "error" not in str(process.ask(*action))
        modes = {
            str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]
        }

    folders = {".", "alive", "private", f"private/{RUN}"}
    assert modes.keys() > {"runs.db-wal", "runs.db-shm", "digest.key", "write.lock", f"private/{RUN}/items", *folders}
    assert {name: oct(mode) for name, mode in modes.items()} == {
        name: oct(0o700 if name in folders else 0o600) for name in modes
    }


def test_git_is_told_to_leave_the_folder_alone(store: SqliteRunStore, folder: Path) -> None:
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_that_was_open_to_others_is_made_private(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    SqliteRunStore(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_run_without_private_values_has_no_private_folder(store: SqliteRunStore, folder: Path) -> None:
    open_run(store)
    store.close_run(RUN, 1, status=RunStatus.COMPLETED, at=NOW)
    store.private.remove(RUN)
    assert not (folder / "private").exists()


def test_a_store_that_is_closed_says_so(folder: Path) -> None:
    store = SqliteRunStore(folder)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        open_run(store)
    with pytest.raises(StoreError, match="is closed"):
        store.list_runs(RunFilter())
    assert not list(folder.glob("alive/*"))


def test_stores_of_one_process_see_each_others_runs_alive(store: SqliteRunStore, folder: Path) -> None:
    other = SqliteRunStore(folder)
    open_run(store)
    assert other.get(RUN).status is RunStatus.RUNNING
    with pytest.raises(JobBusy):
        open_run(other, "R2")
    with pytest.raises(JobBusy):
        other.open_attempt(RUN, at=NOW)
    other.close()
    assert store.get(RUN).status is RunStatus.RUNNING


def test_what_stores_write_in_turn_for_one_attempt_is_kept_whole_and_in_order(
    store: SqliteRunStore, folder: Path
) -> None:
    open_run(store)
    other = SqliteRunStore(folder)
    written = [f"step_{number}" for number in range(6)]
    for writer, step_id in zip([store, store, other, store, other, store], written, strict=True):
        writer.advance(RUN, 1, outcomes=[outcome(step_id)], manifests=[manifest(RUN, step_id)])
    assert [kept.step_id for kept in store.manifests(RUN)] == ["fetch", *written]
    assert {kept.step_id for kept in store.get(RUN).attempts[-1].step_outcomes} == set(written)
    other.close()


def test_runs_of_a_closed_store_read_interrupted(store: SqliteRunStore, folder: Path) -> None:
    other = SqliteRunStore(folder)
    open_run(other)
    other.close()
    assert store.get(RUN).status is RunStatus.INTERRUPTED
    assert store.open_attempt(RUN, at=at(1)) == 2
    assert [attempt.status for attempt in store.get(RUN).attempts] == [RunStatus.INTERRUPTED, RunStatus.RUNNING]


def test_a_run_without_a_fresh_heartbeat_reads_interrupted(folder: Path) -> None:
    clock = FixedClock(NOW)
    store = SqliteRunStore(folder, clock=clock, stale_after_s=30)
    open_run(store)
    clock.advance(30)
    assert store.get(RUN).status is RunStatus.RUNNING
    clock.advance(1)
    assert store.get(RUN).status is RunStatus.INTERRUPTED
    store.close()


def test_a_store_that_idled_for_long_is_alive_with_its_next_run(folder: Path) -> None:
    clock = FixedClock(NOW)
    store = SqliteRunStore(folder, clock=clock, stale_after_s=30)
    open_run(store)
    store.close_run(RUN, 1, status=RunStatus.FAILED, at=NOW)
    clock.advance(3600)
    store.open_attempt(RUN, at=clock.now())
    assert store.get(RUN).status is RunStatus.RUNNING
    store.close()


@pytest.mark.parametrize(
    "look", [lambda store: store.get(RUN), lambda store: store.list_runs(RunFilter())[0]], ids=["get", "list_runs"]
)
def test_a_run_that_ends_while_it_is_looked_at_does_not_read_interrupted(
    folder: Path, look: Callable[[SqliteRunStore], RunRecord]
) -> None:
    worker = SqliteRunStore(folder)
    open_run(worker)
    left = iter([True])

    class Interfering(SystemClock):
        """Between the look at the row and the probe of the worker, the worker ends its run and itself."""

        def monotonic(self) -> float:
            if next(left, False):
                worker.close_run(RUN, 1, status=RunStatus.COMPLETED, at=NOW)
                worker.close()
            return super().monotonic()

    watcher = SqliteRunStore(folder, clock=Interfering())
    assert look(watcher).status is RunStatus.COMPLETED
    assert next(left, None) is None
    watcher.close()


def test_an_attempt_that_was_replaced_may_not_write_in_the_same_process_either(store: SqliteRunStore) -> None:
    open_run(store)
    store.close_run(RUN, 1, status=RunStatus.FAILED, at=NOW)
    store.open_attempt(RUN, at=NOW)
    with pytest.raises(StaleAttempt):
        store.advance(RUN, 1)
    store.advance(RUN, 2)


def test_prune_takes_interrupted_runs_by_the_last_sign_of_life(folder: Path) -> None:
    clock = FixedClock(NOW)
    dead = SqliteRunStore(folder, clock=clock)
    open_run(dead)
    dead.close()
    store = SqliteRunStore(folder, clock=clock)

    assert store.prune(NOW, dry_run=False).run_ids == ()
    assert store.prune(at(1), dry_run=False).run_ids == (RUN,)
    store.close()


def test_prune_removes_old_private_folders_of_runs_that_nobody_knows(store: SqliteRunStore, folder: Path) -> None:
    open_run(store)
    old = (datetime.now(UTC) - timedelta(days=10)).timestamp()
    for run_id in ("OLD", "NEW", RUN):
        store.private.put(run_id, "output", "value")
        if run_id != "NEW":
            os.utime(folder / "private" / run_id, (old, old))
    before = datetime.now(UTC) - timedelta(days=1)

    said = store.prune(before, dry_run=True)
    assert {path.name for path in (folder / "private").iterdir()} == {"OLD", "NEW", RUN}
    assert store.prune(before, dry_run=False) == said
    assert {path.name for path in (folder / "private").iterdir()} == {"NEW", RUN}
    assert (said.run_ids, said.private_bytes) == ((), len('"value"'))
