"""A plan that is sent over HTTP, and either side of it killed in the midst: the plan again, and all is there once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lorchestra.schemas import RetryPolicy, StoraclePlan
from lorchestra.storacle import RpcClient
from lorchestra.storacle.transports.http import HttpTransport
from tests.forked_python import TalkingPython
from tests.integration.plan_process import META, OPS, contents, integrity, mixed_plan, plane, send, units
from tests.standins.storacle_http import HttpStoracle

DEADLINE_S = 60
STUBBORN = RetryPolicy(max_retries=100, initial_delay_seconds=0.01, max_delay_seconds=0.05)


class Server:
    """A storacle in a process of its own, which comes back on its port after it was killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"
        self._start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def come_back(self) -> None:
        """If it was killed."""
        if self._process.poll() is not None:
            self.close()
            self._start()

    def close(self) -> None:
        self.kill()
        self._process.close()

    def _start(self) -> None:
        arguments = (str(self._folder), "--halts", "never", "--port", self._port)
        self._process = TalkingPython("tests.integration.http_process", *arguments, strict=False)
        self.url = self._process.stdout.readline().strip()
        self._port = self.url.rpartition(":")[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.close()


def expect_as_undisturbed(data_path: Path, plan: StoraclePlan) -> None:
    undisturbed = data_path.with_name("undisturbed.db")
    send(undisturbed, plan)
    assert contents(data_path) == contents(undisturbed)
    assert set(integrity(data_path)) == {"ok"}
    with plane(data_path) as data:
        assert data.effects == len(plan.ops)


# The server


def kill_servers(server: Server, plan: StoraclePlan, kills: int, *, chance: random.Random) -> None:
    """Send the plan as one message, by a client that does not give up; so often the server is killed meanwhile."""
    timers: list[threading.Timer] = []

    def kill_soon() -> None:
        timers.append(threading.Timer(chance.random() * 0.2, server.kill))
        timers[-1].start()

    def wait(pause_s: float) -> None:
        timers[-1].join()
        server.come_back()
        if len(timers) < kills:
            kill_soon()

    transport = HttpTransport(server.url, retries=STUBBORN, sleep=wait)
    client = RpcClient(transport)
    meta = replace(META, token=client.open_run(META))
    kill_soon()
    try:
        results = client.execute_plan(plan, meta)
    finally:
        timers[-1].cancel()
        timers[-1].join()
        transport.close()
    assert len(results) == len(plan.ops)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(1, 9))])
def test_a_plan_whose_server_is_killed_again_and_again_ends_as_an_undisturbed_one(
    tmp_path: Path, server: Server, seed: int
) -> None:
    kill_servers(server, mixed_plan(seed), 2 if seed == 0 else 10, chance=random.Random(seed))
    server.close()
    expect_as_undisturbed(tmp_path / "data.db", mixed_plan(seed))


# The client


@contextmanager
def sender(url: str, seed: int) -> Iterator[TalkingPython]:
    with TalkingPython("tests.integration.plan_process", url, str(seed), strict=False) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(1, 9))])
def test_a_plan_whose_client_is_killed_and_comes_back_ends_as_an_undisturbed_one(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    data_path = tmp_path / "data.db"
    with plane(data_path) as data, HttpStoracle(data) as server:
        for _ in range(2 if seed == 0 else 10):
            with sender(server.url, seed) as process:
                time.sleep(chance.random() * 0.2)
                process.kill()
        with sender(server.url, seed) as process:
            assert process.wait(DEADLINE_S) == 0
    expect_as_undisturbed(data_path, mixed_plan(seed))


# Many clients


@pytest.mark.parametrize("ops", [40, pytest.param(OPS, marks=pytest.mark.prove)])
@pytest.mark.parametrize("is_whole", [True, False], ids=["one message", "a message for each unit"])
def test_sixteen_clients_that_send_the_same_plan_at_once_have_one_effect(
    tmp_path: Path, ops: int, is_whole: bool
) -> None:
    plan = mixed_plan(5, ops)
    data_path = tmp_path / "data.db"

    def submit(url: str, token: int) -> int:
        transport = HttpTransport(url)
        client = RpcClient(transport)
        messages = [plan] if is_whole else [replace(plan, ops=unit) for unit in units(plan)]
        try:
            return sum(len(client.execute_plan(message, replace(META, token=token))) for message in messages)
        finally:
            transport.close()

    with plane(data_path) as data, HttpStoracle(data) as server, ThreadPoolExecutor(16) as threads:
        transport = HttpTransport(server.url)
        token = RpcClient(transport).open_run(META)
        transport.close()
        sent = [threads.submit(submit, server.url, token) for _ in range(16)]
        assert {one.result() for one in sent} == {ops}
    expect_as_undisturbed(data_path, plan)
