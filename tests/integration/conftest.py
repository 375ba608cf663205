"""A SQLite run store and a data file in folders of their own, and processes that are killed on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorchestra.run_store import SqliteRunStore
from tests.data_plane import DataPlane
from tests.integration.crash.forks import Forks
from tests.integration.plan_process import plane
from tests.integration.store_process import HEARTBEAT_S, STALE_AFTER_S


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / ".lorchestra"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteRunStore]:
    store = SqliteRunStore(folder, heartbeat_s=HEARTBEAT_S, stale_after_s=STALE_AFTER_S)
    yield store
    store.close()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def data_path(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


@pytest.fixture
def data(data_path: Path) -> Iterator[DataPlane]:
    with plane(data_path) as data:
        yield data
