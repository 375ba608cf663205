"""Where the executor is tested, with each run store, and a client of storacle, over each transport and backing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lorchestra.run_store import InMemoryRunStore, RunStore, SqliteRunStore
from lorchestra.schemas import RunStatus
from lorchestra.storacle.transports import InProcessTransport
from lorchestra.storacle.transports.http import HttpTransport
from tests.bigquery_plane import BigQueryPlane
from tests.contract.storacle_world import WORLDS, Plane, World
from tests.data_plane import DataPlane
from tests.jobs import Lab, wait_until
from tests.standins.storacle_http import HttpStoracle

_TOKEN = "a-token"


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
    lab.service.close()


@pytest.fixture(scope="module")
def over_http() -> Iterator[HttpStoracle]:
    with HttpStoracle(token=_TOKEN) as server:
        yield server


def _plane(backing: str, folder: Path) -> AbstractContextManager[Plane]:
    match backing:
        case "bigquery":
            return BigQueryPlane()
        case "file":
            return DataPlane(folder / "data.db")
        case _:
            return DataPlane()


# BigQuery's takes minutes; a part of what it promises is among the ordinary tests of its own.
@pytest.fixture(params=[pytest.param(one, marks=pytest.mark.prove if "bigquery" in one else ()) for one in WORLDS])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    backing, transport = request.param.split(", ")
    with _plane(backing, tmp_path) as data:
        match transport:
            case "http":
                server: HttpStoracle = request.getfixturevalue("over_http")
                server.service = data
                http = HttpTransport(server.url, token=lambda: _TOKEN)
                yield World(data, http)
                http.close()
            case _:
                yield World(data, InProcessTransport(data))
