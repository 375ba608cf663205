"""The lab in which the executor's promises are tested: once with each run store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lorchestra.run_store import InMemoryRunStore, RunStore, SqliteRunStore
from lorchestra.schemas import RunStatus
from tests.jobs import Lab, wait_until


@pytest.fixture(params=["memory", "sqlite"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    makers: dict[str, Callable[[], RunStore]] = {
        "memory": InMemoryRunStore,
        "sqlite": lambda: SqliteRunStore(tmp_path / "store"),
    }
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    lab = Lab(store=makers[request.param](), definitions=definitions)
    yield lab
    # A test lets go of all that it held up, and then nothing is at work any more.
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "lorchestra-worker"])
    assert lab.runs(status=RunStatus.RUNNING) == ()
    lab.store.close()
