"""Private values exist only while a run can be resumed: what a killed process left goes when the store is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorchestra.errors import JobBusy
from lorchestra.run_store import SqliteRunStore
from lorchestra.run_store.private_values import KEPT
from lorchestra.schemas import RunStatus
from tests.factories import NOW, job_def, manifest, run_record

VALUES = {"envelope": {"payload": {"day": "2026-11-20"}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".lorchestra"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteRunStore]:
    store = SqliteRunStore(folder)
    yield store
    store.close()


def open_run(store: SqliteRunStore, run_id: str, *, parent: str | None = None, exclusive: bool = False) -> None:
    record = run_record(run_id=run_id, parent_run_id=parent)
    store.open_run(record, job_def(), [manifest(run_id)], exclusive=exclusive, values=VALUES)


def end(store: SqliteRunStore, run_id: str, status: RunStatus) -> None:
    store.close_run(run_id, 1, status=status, at=NOW)


def left_after_opening(folder: Path) -> set[str]:
    SqliteRunStore(folder).close()
    return {path.name for path in (folder / "private").iterdir()}


def test_values_come_with_the_run(store: SqliteRunStore) -> None:
    open_run(store, "R1")
    assert store.private.get("R1", "envelope") == VALUES["envelope"]


def test_a_run_that_could_not_be_recorded_has_no_values(store: SqliteRunStore, folder: Path) -> None:
    open_run(store, "R1")
    with pytest.raises(JobBusy):
        open_run(store, "R2", exclusive=True)
    assert left_after_opening(folder) == {"R1"}


def test_a_run_that_is_known_already_keeps_its_values(store: SqliteRunStore) -> None:
    open_run(store, "R1")
    with pytest.raises(Exception, match="recorded already"):
        open_run(store, "R1")
    assert store.private.get("R1", "envelope") == VALUES["envelope"]


def test_values_of_a_run_that_nobody_recorded_go(store: SqliteRunStore, folder: Path) -> None:
    store.private.put("R1", "envelope", {})
    assert left_after_opening(folder) == set()


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.PARTIAL])
def test_values_of_a_finished_run_go_and_those_of_its_children(
    store: SqliteRunStore, folder: Path, status: RunStatus
) -> None:
    open_run(store, "R1")
    open_run(store, "R2", parent="R1")
    open_run(store, "R3", parent="R2")
    for run_id in ("R3", "R2", "R1"):
        end(store, run_id, status)
    assert left_after_opening(folder) == set()


def test_values_that_are_to_be_kept_stay(store: SqliteRunStore, folder: Path) -> None:
    open_run(store, "R1")
    open_run(store, "R2", parent="R1")
    end(store, "R2", RunStatus.COMPLETED)
    store.private.put("R1", KEPT, True)
    end(store, "R1", RunStatus.COMPLETED)
    assert left_after_opening(folder) == {"R1", "R2"}


@pytest.mark.parametrize("status", [None, RunStatus.FAILED, RunStatus.CANCELLED])
def test_values_of_a_run_that_can_be_resumed_stay_and_those_of_its_finished_children(
    store: SqliteRunStore, folder: Path, status: RunStatus | None
) -> None:
    open_run(store, "R1")
    open_run(store, "R2", parent="R1")
    end(store, "R2", RunStatus.COMPLETED)
    if status is not None:
        end(store, "R1", status)
    assert left_after_opening(folder) == {"R1", "R2"}
