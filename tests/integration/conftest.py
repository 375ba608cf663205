"""A SQLite run store in a project folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorchestra.run_store import SqliteRunStore
from tests.integration.store_process import HEARTBEAT_S, STALE_AFTER_S


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / ".lorchestra"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteRunStore]:
    store = SqliteRunStore(folder, heartbeat_s=HEARTBEAT_S, stale_after_s=STALE_AFTER_S)
    yield store
    store.close()
