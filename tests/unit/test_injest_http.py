"""How `injest` asks: at what pace, how often, and what it makes of what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lorchestra.callable.direct import NeverCancelled
from lorchestra.callable.injest import concurrently
from lorchestra.callable.injest.google.quota import is_quota
from lorchestra.callable.injest.http import failures
from lorchestra.callable.injest.http.exchange import Exchange
from lorchestra.callable.injest.http.pace import Pace
from lorchestra.connections.config import HttpAccess
from lorchestra.connections.credentials import MachineDefault
from lorchestra.demo.providers.messages import Answer, Request
from lorchestra.demo.providers.server import ProviderServer
from lorchestra.errors import PermanentError, TransientError
from lorchestra.schemas import RetryPolicy
from tests.google_clinic import DayClock


class Watch:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


class OneToken:
    def current(self) -> str:
        return "token"

    def expire(self, token: str) -> None:
        raise AssertionError("nobody refused it")


class Stopping(NeverCancelled):
    """Asks to stop when it has been asked so many times."""

    def __init__(self, after: int) -> None:
        self._left = after

    def check(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise InterruptedError


class Echo:
    def answer(self, request: Request) -> Answer | None:
        return Answer.of_json({"path": request.path})


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(Echo()) as server:
        yield server


@pytest.fixture
def watch() -> Watch:
    return Watch()


def exchange(server: ProviderServer, watch: Watch, **changes: Any) -> Exchange:
    retries = RetryPolicy(max_retries=2, initial_delay_seconds=4, backoff_multiplier=3, jitter=False)
    access = HttpAccess(
        connection="x", base_url=server.url, credentials=MachineDefault(), requests_per_s=10.0, retry=retries
    )
    options = {"clock": DayClock(), "token": NeverCancelled(), "is_quota": is_quota}
    clocks = {"monotonic": watch.monotonic, "sleep": watch.sleep, "random": lambda: 0.5}
    return Exchange(access, OneToken(), **{**options, **clocks, **changes})


# The pace


def test_requests_keep_their_distance(server: ProviderServer, watch: Watch) -> None:
    with exchange(server, watch) as asked:
        for _ in range(5):
            assert asked.get("/a", {}) == {"path": "/a"}
    assert watch.now == pytest.approx(100.4)
    assert asked.requests == 5


def test_who_comes_late_owes_nothing(watch: Watch) -> None:
    pace = Pace(10, monotonic=watch.monotonic, wait=watch.sleep)
    pace.take()
    watch.sleep(50)
    pace.take()
    assert watch.now == 150


def test_a_pause_that_was_asked_for_is_taken_and_growing_ones_else(server: ProviderServer, watch: Watch) -> None:
    server.faults.refuse(429, retry_after="30")
    with exchange(server, watch) as asked:
        asked.get("/a", {})
        assert watch.now == pytest.approx(130)
        server.faults.refuse(503, times=2)
        asked.get("/a", {})
    assert watch.now == pytest.approx(130.1 + 4 + 12)


def test_a_pause_for_one_is_a_pause_for_all(server: ProviderServer, watch: Watch) -> None:
    pace = Pace(1000, monotonic=watch.monotonic, wait=watch.sleep)
    pace.rest(20)
    pace.rest(5)
    pace.take()
    assert watch.now == 120


def test_a_step_that_is_to_stop_does_not_wait_to_the_end_of_a_pause(server: ProviderServer, watch: Watch) -> None:
    server.faults.refuse(429, retry_after="100")
    with exchange(server, watch, token=Stopping(8)) as asked, pytest.raises(InterruptedError):
        asked.get("/a", {})
    assert watch.now < 110
    assert len(server.requests) == 1


# What goes wrong


def kinds(above: type[Exception]) -> Iterator[type[Exception]]:
    for kind in above.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("kind", [httpx.HTTPError, httpx.InvalidURL, *kinds(httpx.HTTPError)])
def test_every_error_of_httpx_is_one_of_ours(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    failure = failures.of_exception(error, "x")
    is_transport = issubclass(kind, (httpx.TimeoutException, httpx.NetworkError, httpx.ProxyError))
    is_broken = issubclass(kind, (httpx.RemoteProtocolError, httpx.DecodingError))
    assert isinstance(failure, TransientError if is_transport or is_broken else PermanentError)
    assert str(failure).startswith("connection 'x': ")


def test_another_error_is_none_of_the_tables() -> None:
    with pytest.raises(TypeError):
        failures.of_exception(OSError(), "x")


@pytest.mark.parametrize(
    ("body", "speaks_of_it"),
    [
        (b'{"error": {"errors": [{"reason": "rateLimitExceeded"}]}}', True),
        (b'{"error": {"errors": [{"reason": "other"}, {"reason": "userRateLimitExceeded"}]}}', True),
        (b'{"error": {"status": "RESOURCE_EXHAUSTED"}}', True),
        (b'{"error": {"details": [{"@type": "x", "reason": "RATE_LIMIT_EXCEEDED"}]}}', True),
        (b'{"error": {"errors": [{"reason": "insufficientPermissions"}], "status": "PERMISSION_DENIED"}}', False),
        (b'{"error": {"errors": ["rateLimitExceeded"], "details": "quotaExceeded", "status": 5}}', False),
        (b'{"error": "rateLimitExceeded"}', False),
        (b'["error"]', False),
        (b"5", False),
        (b"rateLimitExceeded", False),
        (b"", False),
    ],
)
def test_a_quota_is_told_from_a_right_that_is_missing(body: bytes, speaks_of_it: bool) -> None:
    assert is_quota(body) is speaks_of_it


# Several at once


def test_results_come_in_the_order_of_the_inputs_and_not_too_many_wait() -> None:
    taken: list[int] = []

    def inputs() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results = concurrently.mapped(lambda number: number * 2, inputs(), threads=4)

    assert next(results) == 0
    assert len(taken) == 8
    assert list(results) == [number * 2 for number in range(1, 50)]


def test_the_first_error_ends_the_others() -> None:
    begun = threading.Semaphore(0)

    def function(number: int) -> int:
        begun.release()
        if number == 2:
            raise LookupError(number)
        return number

    results = concurrently.mapped(function, range(1000), threads=2)

    with pytest.raises(LookupError):
        list(results)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("injest")]
    assert sum(1 for _ in iter(lambda: begun.acquire(blocking=False), False)) < 10
