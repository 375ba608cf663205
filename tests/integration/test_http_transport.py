"""What the HTTP transport does when the way to the service is bad. Token and rows are canaries: no error, no log line
may show one."""

from __future__ import annotations

import gzip
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lorchestra.clock import FixedClock
from lorchestra.errors import ConfigurationError, LorchestraError, PermanentError, TransientError
from lorchestra.schemas import RetryPolicy, StoracleOp, StoraclePlan
from lorchestra.storacle import OpStatus, RpcClient, RpcMeta, codec
from lorchestra.storacle.http_server import listen, url_of
from lorchestra.storacle.transports import RecordingTransport
from lorchestra.storacle.transports.http import HttpTransport
from tests.data_plane import DataPlane
from tests.standins import llm
from tests.standins.llm import StandInLlm
from tests.standins.storacle_http import HttpStoracle, LossyProxy

TOKEN = "canary-token-51b7"
VALUE = "canary-value-e802"
META = RpcMeta(job_id="j", run_id="r", step_id="s", correlation_id="r", ts="2026-03-01T00:00:00Z")
STEADY = RetryPolicy(max_retries=3, initial_delay_seconds=1, backoff_multiplier=2, max_delay_seconds=8, jitter=False)
MESSAGE = codec.request("storacle.query", {"read": {"where": {"name": VALUE}}}, 1)
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"token": 1}}


class Lab:
    """Transports that pause without waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.stack = ExitStack()

    def transport(self, url: str, **options: Any) -> HttpTransport:
        given = {"token": lambda: TOKEN, "retries": STEADY, "clock": FixedClock(datetime(2026, 3, 1, tzinfo=UTC))}
        transport = HttpTransport(url, sleep=self.pauses.append, random=lambda: 0.0, **{**given, **options})
        self.stack.callback(transport.close)
        return transport

    def peer(self, *behaviours: llm.Behaviour) -> StandInLlm:
        """Does what it is told, one behaviour a request, and remembers what it was asked."""
        return self.stack.enter_context(StandInLlm(*behaviours))


@pytest.fixture
def lab(caplog: pytest.LogCaptureFixture) -> Iterator[Lab]:
    lab = Lab()
    with caplog.at_level(logging.DEBUG), lab.stack:
        yield lab
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert TOKEN not in said
    assert VALUE not in said


def failing(transport: HttpTransport, message: codec.Message = MESSAGE) -> LorchestraError:
    with pytest.raises((TransientError, PermanentError)) as caught:
        transport.send(message)
    told = "".join(traceback.format_exception(caught.value, chain=True))
    assert TOKEN not in str(caught.value)
    assert VALUE not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None, told
    assert isinstance(caught.value, LorchestraError)
    return caught.value


def plan(*, rows: Any = ({"k": VALUE},)) -> StoraclePlan:
    params = {"dataset": "raw", "table": "t", "key_columns": ["k"], "rows": rows}
    op = StoracleOp(op_id="a", method="wal.append", params=params, idempotency_key="key")
    return StoraclePlan(correlation_id="r", ops=(op,))


# Answers that get lost


@pytest.mark.parametrize("cuts", [(0,), (1,), (60,), (0, 40)])
def test_an_op_whose_answer_was_lost_is_sent_again_and_has_one_effect(lab: Lab, cuts: tuple[int, ...]) -> None:
    service = DataPlane()
    server = lab.stack.enter_context(HttpStoracle(service, token=TOKEN))
    direct = RpcClient(lab.transport(server.url))
    token = direct.open_run(META)
    proxy = lab.stack.enter_context(LossyProxy(server.port, *cuts))
    recorder = RecordingTransport(lab.transport(proxy.url))

    [result] = RpcClient(recorder).execute_plan(plan(), replace(META, token=token))

    assert result.status is OpStatus.ALREADY
    assert result.counts == {"inserted": 1, "unchanged": 0}
    assert service.effects == 1
    assert service.rows("raw", "t") == [{"k": VALUE}]
    assert lab.pauses == [1.0, 2.0][: len(cuts)]
    assert len(recorder.exchanges) == 1


def test_a_run_whose_opening_was_lost_is_opened_again_and_may_write(lab: Lab) -> None:
    server = lab.stack.enter_context(HttpStoracle(DataPlane(), token=TOKEN))
    proxy = lab.stack.enter_context(LossyProxy(server.port, 0))
    client = RpcClient(lab.transport(proxy.url))

    token = client.open_run(META)

    assert token == 2
    [result] = client.execute_plan(plan(), replace(META, token=token))
    assert result.status is OpStatus.APPLIED


def test_the_very_same_bytes_are_sent_again(lab: Lab) -> None:
    peer = lab.peer(llm.cut, llm.babble, llm.refuse(503), llm.document(ANSWER))

    assert lab.transport(peer.base_url).send(MESSAGE) == ANSWER

    assert [asked.body for asked in peer.asked] == [MESSAGE] * 4
    assert {asked.headers["content-length"] for asked in peer.asked} == {str(len(codec.encode(MESSAGE)))}
    assert {asked.headers["authorization"] for asked in peer.asked} == {f"Bearer {TOKEN}"}
    assert {asked.path for asked in peer.asked} == {"/v1/rpc"}


# Peers that cannot now


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_peer_that_cannot_now_is_asked_again_with_growing_pauses(lab: Lab, status: int) -> None:
    peer = lab.peer(*[llm.refuse(status)] * 3, llm.document(ANSWER))

    assert lab.transport(peer.base_url).send(MESSAGE) == ANSWER
    assert lab.pauses == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(("header", "pause_s"), [("7", 7.0), ("Sun, 01 Mar 2026 00:00:09 GMT", 9.0), ("soon", 1.0)])
def test_a_pause_that_the_peer_asks_for_is_taken(lab: Lab, header: str, pause_s: float) -> None:
    peer = lab.peer(llm.refuse(503, headers={"Retry-After": header}), llm.document(ANSWER))

    assert lab.transport(peer.base_url).send(MESSAGE) == ANSWER
    assert lab.pauses == [pause_s]


def test_a_pause_too_long_to_be_taken_here_is_left_to_the_step(lab: Lab) -> None:
    peer = lab.peer(llm.refuse(503, headers={"Retry-After": "3600"}))

    error = failing(lab.transport(peer.base_url))

    assert isinstance(error, TransientError)
    assert error.retry_after == 3600
    assert lab.pauses == []


def test_after_the_last_try_the_error_is_transient(lab: Lab) -> None:
    peer = lab.peer(*[llm.refuse(429)] * 9)

    error = failing(lab.transport(peer.base_url))

    assert isinstance(error, TransientError)
    assert str(error) == "storacle: HTTP status 429: the service asks for fewer requests (rate_limited)"
    assert len(peer.asked) == 4


def test_a_dead_peer_is_tried_and_then_told_as_transient(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    with listen("127.0.0.1", 0) as listener:
        url = url_of(listener)

    error = failing(lab.transport(url))

    assert isinstance(error, TransientError)
    assert "cannot be reached; check storacle.url" in str(error)
    assert lab.pauses == [1.0, 2.0, 4.0]
    assert sum("storacle.retrying" in record.getMessage() for record in caplog.records) == 3


def test_a_peer_that_says_nothing_is_given_up(lab: Lab) -> None:
    peer = lab.peer(*[llm.hang] * 2)
    transport = lab.transport(peer.base_url, timeout_s=0.05, retries=RetryPolicy(max_retries=1))

    error = failing(transport)

    assert isinstance(error, TransientError)
    assert "did not answer in time" in str(error)


def test_a_connection_that_the_service_closed_meanwhile_is_made_anew(lab: Lab) -> None:
    peer = lab.peer(llm.document(ANSWER), llm.document(ANSWER))
    transport = lab.transport(peer.base_url)

    # The stand-in speaks HTTP/1.0 and hangs up after each answer.
    assert [transport.send(MESSAGE), transport.send(MESSAGE)] == [ANSWER, ANSWER]
    assert lab.pauses == []


# Peers that will not


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "the service does not know the caller; check the token"),
        (403, "the caller may not do this"),
        (413, "the request is larger than the service takes"),
        (500, "the service failed; its own log says where"),
        (404, "as storacle never gives; check storacle.url"),
        (302, "as storacle never gives; check storacle.url"),
        (400, "as storacle never gives"),
        (599, "as storacle never gives"),
    ],
)
def test_a_peer_that_will_not_is_not_asked_again(lab: Lab, status: int, sentence: str) -> None:
    peer = lab.peer(llm.refuse(status, headers={"Location": "http://127.0.0.1:1/"}))

    error = failing(lab.transport(peer.base_url))

    assert isinstance(error, PermanentError)
    assert sentence in str(error)
    assert str(status) in str(error)
    assert len(peer.asked) == 1


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (llm.body(VALUE.encode()), "is not JSON"),
        (llm.body(VALUE.encode(), headers={"Content-Type": "text/html"}), "something else than application/json"),
        (
            llm.body(gzip.compress(b"{}"), headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
            "compressed",
        ),
    ],
)
def test_an_answer_that_is_none_is_permanent_and_not_quoted(lab: Lab, behaviour: Any, sentence: str) -> None:
    peer = lab.peer(behaviour)

    error = failing(lab.transport(peer.base_url))

    assert isinstance(error, PermanentError)
    assert sentence in str(error)


def test_an_answer_without_end_is_given_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_BYTES", 1000)
    peer = lab.peer(llm.document("x" * 2000))

    error = failing(lab.transport(peer.base_url))

    assert isinstance(error, PermanentError)
    assert "larger than 1000 bytes" in str(error)


def test_the_wrong_token_is_told_at_once_also_when_much_is_sent(lab: Lab) -> None:
    server = lab.stack.enter_context(HttpStoracle(DataPlane(), token="another"))

    error = failing(lab.transport(server.url), codec.request("x", {"rows": [VALUE * 100_000]}, 1))

    assert isinstance(error, PermanentError)
    assert "check the token" in str(error)
    assert lab.pauses == []


def test_an_error_of_the_service_comes_as_the_client_tells_it(lab: Lab) -> None:
    server = lab.stack.enter_context(HttpStoracle(DataPlane(), token=TOKEN))
    client = RpcClient(lab.transport(server.url))

    with pytest.raises(PermanentError, match="fenced"):
        client.execute_plan(plan(), replace(META, token=7))


# What is said where


@pytest.mark.parametrize(
    "url", ["http://storacle.example", "http://192.0.2.1:8765", "http://127.0.0.1.example", "HTTP://[2001:db8::1]"]
)
def test_a_token_is_not_shown_to_a_network_without_encryption(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"use 'https:'|must look like") as caught:
        HttpTransport(url, token=lambda: TOKEN)

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://storacle.example", lambda: TOKEN),
        ("http://localhost:8765", lambda: TOKEN),
        ("http://127.8.0.1:8765/", lambda: TOKEN),
        ("http://[::1]:8765", lambda: TOKEN),
        ("http://storacle.example/below", None),
    ],
)
def test_these_may_be_asked(lab: Lab, url: str, token: Callable[[], str] | None) -> None:
    lab.transport(url, token=token)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "storacle.example",
        "ftp://storacle.example",
        "https://",
        f"https://user:{VALUE}@storacle.example",
        f"https://storacle.example/?key={VALUE}",
        f"https://storacle.example/#{VALUE}",
        "https://storacle.example:0",
        "https://storacle.example:99999",
        "https://[::1",
        "https://a b",
        "https://storacle.example\n",
    ],
)
def test_an_address_that_is_none_is_refused_unquoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"storacle\.url must look like") as caught:
        HttpTransport(url)

    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("token", ["", f"{TOKEN}\n", f"{TOKEN} x", f"{TOKEN}é"])
def test_a_token_that_no_header_can_carry_is_refused_before_anything_is_sent(token: str) -> None:
    with pytest.raises(ConfigurationError, match=r"storacle\.token") as caught:
        HttpTransport("https://storacle.example", token=lambda: token)

    assert TOKEN not in str(caught.value)


def test_the_token_is_fetched_for_each_request(lab: Lab) -> None:
    server = lab.stack.enter_context(HttpStoracle(DataPlane(), token=TOKEN))
    tokens = iter(["the-check", "an-old-one", TOKEN])
    transport = lab.transport(server.url, token=lambda: next(tokens))

    failing(transport)

    assert isinstance(transport.send(codec.request("run.open", {}, 1)), dict)


def test_a_proxy_of_the_environment_is_not_told_what_stays_on_this_machine(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = lab.stack.enter_context(HttpStoracle(DataPlane(), token=TOKEN))

    assert RpcClient(lab.transport(server.url)).open_run(META) == 1


def test_a_notification_has_no_answer(lab: Lab) -> None:
    server = lab.stack.enter_context(HttpStoracle(DataPlane(), token=TOKEN))

    assert lab.transport(server.url).send({"jsonrpc": "2.0", "method": "run.open", "params": {}}) is None


def test_a_message_that_is_no_json_is_not_sent(lab: Lab) -> None:
    peer = lab.peer()

    with pytest.raises(codec.MalformedMessage):
        lab.transport(peer.base_url).send({"method": {VALUE}})

    assert peer.asked == []
