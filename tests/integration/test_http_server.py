"""The HTTP face of storacle as any peer sees it, over real sockets."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorchestra.errors import ConfigurationError
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpStatus, RpcClient, RpcMeta, codec
from lorchestra.storacle.codec import Message
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.http_server import HttpApp, listen, serve
from lorchestra.storacle.transports.http import HttpTransport
from tests.data_plane import DataPlane, rows_in
from tests.forked_python import TalkingPython
from tests.standins.storacle_http import HttpStoracle

TOKEN = "canary-token-51b7"
ERRORS = "errors"
# To read the world's certificates would take longer than any answer.
NO_TLS: Any = {"trust_env": False, "verify": False}
VALUE = "canary-value-e802"
OPEN = codec.encode(codec.request("run.open", {"meta": {"run_id": "r", "namespace": "prod"}}, 1))
META = RpcMeta(job_id="j", run_id="r", step_id="s", correlation_id="r", ts="2026-03-01T00:00:00Z")
DEADLINE_S = 60


class Scripted:
    """Does what it is told with whatever it is sent."""

    def __init__(self, behave: Callable[[object], Any]) -> None:
        self._behave = behave

    def handle(self, message: object) -> Message | None:
        answer: Message | None = self._behave(message)
        return answer


@pytest.fixture(scope="module")
def open_server() -> Iterator[HttpStoracle]:
    with HttpStoracle(DataPlane(), max_bytes=1000) as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[HttpStoracle]:
    with HttpStoracle(DataPlane(), token=TOKEN) as server:
        yield server


def post(server: HttpStoracle, body: Any = OPEN, **how: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/rpc", content=body, **NO_TLS, **how)


def code_of(response: httpx.Response) -> int:
    answer = response.json()
    assert answer["jsonrpc"] == "2.0"
    code: int = answer["error"]["code"]
    return code


# Paths and verbs


def test_a_call_is_answered_and_a_notification_is_not(open_server: HttpStoracle) -> None:
    called = post(open_server)
    notified = post(open_server, codec.encode({"jsonrpc": "2.0", "method": "run.open", "params": {}}))

    assert (called.status_code, called.headers["content-type"]) == (200, "application/json")
    assert "token" in called.json()["result"]
    assert (notified.status_code, notified.content) == (204, b"")


def test_health_is_told_to_anyone(guarded: HttpStoracle) -> None:
    answer = httpx.get(f"{guarded.url}/health", **NO_TLS)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/rpc", 405, ErrorCode.INVALID_REQUEST),
        ("OPTIONS", "/rpc", 405, ErrorCode.INVALID_REQUEST),
        ("POST", "/health", 405, ErrorCode.INVALID_REQUEST),
        ("GET", "/", 404, ErrorCode.METHOD_NOT_FOUND),
        ("POST", "/rpc/", 404, ErrorCode.METHOD_NOT_FOUND),
        ("POST", "/docs", 404, ErrorCode.METHOD_NOT_FOUND),
    ],
)
def test_anything_else_is_refused(open_server: HttpStoracle, verb: str, path: str, status: int, code: int) -> None:
    answer = httpx.request(verb, open_server.url + path, **NO_TLS)

    assert (answer.status_code, code_of(answer)) == (status, code)
    assert ("allow" in answer.headers) == (status == 405)


def test_a_page_in_a_browser_is_refused(open_server: HttpStoracle) -> None:
    answer = post(open_server, headers={"Origin": "https://elsewhere.example"})

    assert (answer.status_code, code_of(answer)) == (403, ErrorCode.FORBIDDEN)


# The token


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", f"bearer {TOKEN}"])
def test_whoever_shows_the_token_is_served(guarded: HttpStoracle, value: str) -> None:
    assert post(guarded, headers={"Authorization": value}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", TOKEN)],
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", f"Bearer {TOKEN}x")],
        [("Authorization", f"Bearer {TOKEN[:-1]}")],
        [("Authorization", b"Bearer \xff\xfe")],
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
    ],
)
def test_whoever_does_not_is_refused_and_the_log_does_not_say_what_was_shown(
    guarded: HttpStoracle, headers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "lorchestra"):
        answer = post(guarded, headers=headers)

    assert (answer.status_code, code_of(answer)) == (401, ErrorCode.UNAUTHORIZED)
    assert answer.headers["www-authenticate"] == "Bearer"
    (record,) = [one for one in caplog.records if one.name.startswith("lorchestra.storacle")]
    assert record.getMessage().startswith("storacle.http_refused")
    assert "401" in str(vars(record))
    assert TOKEN[:-1] not in str(vars(record))


def test_a_stranger_who_sends_much_is_told_who_is_asked_for(guarded: HttpStoracle) -> None:
    assert post(guarded, b" " * 5_000_000).status_code == 401


# Sizes


def test_a_request_of_the_largest_size_is_read_and_a_larger_one_refused(open_server: HttpStoracle) -> None:
    assert post(open_server, OPEN.ljust(1000)).status_code == 200
    answer = post(open_server, OPEN.ljust(1001))
    assert (answer.status_code, code_of(answer)) == (413, ErrorCode.TOO_LARGE)


def test_a_request_that_does_not_tell_its_size_is_refused_when_it_is_too_large(open_server: HttpStoracle) -> None:
    def pieces(count: int) -> Iterator[bytes]:
        yield OPEN.ljust(500)
        for _ in range(count):
            yield b" " * 100

    assert post(open_server, pieces(5)).status_code == 200
    answer = post(open_server, pieces(6))
    assert (answer.status_code, code_of(answer)) == (413, ErrorCode.TOO_LARGE)


# Peers that do not behave


@settings(max_examples=60)
@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "meta", "x"]), inner, max_size=4)
        ),
    ).map(lambda value: orjson.dumps(value)[:900])
)
def test_any_body_is_answered_in_the_protocol(open_server: HttpStoracle, body: bytes) -> None:
    answer = post(open_server, body)

    assert answer.status_code in (200, 204)
    assert answer.status_code == 204 or isinstance(answer.json(), (dict, list))
    assert post(open_server).status_code == 200


@settings(max_examples=40)
@given(
    st.binary(max_size=300) | st.binary(max_size=200).map(lambda head: b"POST /rpc HTTP/1.1\r\n" + head + b"\r\n\r\n")
)
def test_any_bytes_leave_the_server_as_it_was(open_server: HttpStoracle, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", open_server.port)) as peer:
        peer.sendall(data)

    assert post(open_server).status_code == 200


def test_a_peer_that_leaves_in_the_midst_of_its_request_is_nobody_to_answer(open_server: HttpStoracle) -> None:
    with socket.create_connection(("127.0.0.1", open_server.port)) as peer:
        peer.sendall(b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{")

    assert post(open_server).status_code == 200


def test_a_request_that_does_not_go_on_is_refused() -> None:
    with (
        HttpStoracle(DataPlane(), body_timeout_s=0.01) as server,
        socket.create_connection(("127.0.0.1", server.port)) as peer,
    ):
        peer.sendall(b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{")
        assert peer.recv(1000).startswith(b"HTTP/1.1 408 ")


# Services that do not behave


def _raise(message: object) -> Any:
    raise ValueError(VALUE)


@pytest.mark.parametrize(
    ("behave", "status", "event"),
    [
        (_raise, 500, "storacle.http_failed"),
        (lambda message: {"id": 1, "result": {VALUE}}, 200, "storacle.answer_not_sent"),
    ],
)
def test_a_service_that_fails_shows_no_value_and_no_trace(
    behave: Any, status: int, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    with HttpStoracle(Scripted(behave)) as server, caplog.at_level(logging.DEBUG):
        answer = post(server)

    assert (answer.status_code, code_of(answer)) == (status, ErrorCode.INTERNAL)
    assert event in caplog.text
    assert VALUE not in answer.text + caplog.text
    assert "Traceback" not in answer.text + caplog.text


def test_more_requests_than_can_wait_are_told_to_come_again() -> None:
    reached, go = threading.Event(), threading.Event()

    def hold(message: object) -> Any:
        reached.set()
        go.wait(DEADLINE_S)
        return {"jsonrpc": "2.0", "id": 1, "result": 1}

    with HttpStoracle(Scripted(hold), at_once=1, waiting_max=0) as server:
        first: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: first.append(post(server)))
        asking.start()
        assert reached.wait(DEADLINE_S)
        second = post(server)
        go.set()
        asking.join()

    assert (second.status_code, code_of(second), second.headers["retry-after"]) == (503, ErrorCode.BUSY, "1")
    assert first[0].status_code == 200


# Where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "storacle.example"])
def test_it_listens_to_others_only_with_a_token(host: str) -> None:
    with pytest.raises(ConfigurationError, match="without a token on loopback only"):
        serve(DataPlane(), host=host)


def test_a_port_that_is_taken_is_told() -> None:
    with (
        listen("127.0.0.1", 0) as taken,
        pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1, port \d+: Address already in use"),
    ):
        serve(DataPlane(), port=taken.getsockname()[1])


def test_the_end_of_an_answer_does_not_wait_until_its_beginning_is_acknowledged() -> None:
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("token", ["", "a b", f"{TOKEN}\n"])
def test_a_token_that_no_header_can_carry_is_refused_unquoted(token: str) -> None:
    with pytest.raises(ConfigurationError, match=r"storacle\.token") as caught:
        HttpApp(DataPlane(), token=token)

    assert TOKEN not in str(caught.value)


# How it ends


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[TalkingPython, str]]:
    arguments = (str(folder), *options)
    with (folder / ERRORS).open("a") as errors:
        server = TalkingPython("tests.integration.http_process", *arguments, errors=errors.fileno(), strict=False)
    with server:
        try:
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


def ended(server: TalkingPython, folder: Path) -> str:
    """What it said of errors until it ended well."""
    code, said = server.wait(DEADLINE_S), (folder / ERRORS).read_text()
    assert code == 0, said
    return said


def open_run(folder: Path) -> int:
    """Open the run at the data itself, past the server; its token."""
    with DataPlane(folder / "data.db") as data:
        answer: Any = data.handle(OPEN)
        token: int = answer["result"]["token"]
        return token


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/health", **NO_TLS)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        # Let in at the last moment, and then hung up on.
        return False
    return False


def write_one(url: str, **options: Any) -> Any:
    transport = HttpTransport(url, **options)
    try:
        client = RpcClient(transport)
        params = {"dataset": "raw", "table": "t", "key_columns": ["k"], "rows": [{"k": 1}]}
        op = StoracleOp(op_id="a", method="wal.append", params=params, idempotency_key="a")
        return client.execute_plan(StoraclePlan(correlation_id="r", ops=(op,)), replace(META, token=1))
    finally:
        transport.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_op_in_flight_end_and_be_answered(tmp_path: Path, number: int) -> None:
    open_run(tmp_path)
    results: list[Any] = []
    with process(tmp_path) as (server, url):
        asking = threading.Thread(target=lambda: results.append(write_one(url)))
        asking.start()
        until((tmp_path / "reached").exists)
        server.send_signal(number)
        until(lambda: is_refused(url))
        assert results == []
        (tmp_path / "go").touch()
        asking.join()
        said = ended(server, tmp_path)

    assert "Traceback" not in said
    assert results[0][0].counts == {"inserted": 1, "unchanged": 0}
    assert rows_in(tmp_path / "data.db", "raw", "t") == [{"k": 1}]


def test_a_caller_is_sent_away_when_the_server_cannot_wait_and_the_op_ends_all_the_same(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with process(tmp_path, "--grace", "0") as (server, url):
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{url}/rpc", content=OPEN, **NO_TLS, timeout=DEADLINE_S))
        )
        asking.start()
        until((tmp_path / "reached").exists)
        server.send_signal(signal.SIGTERM)
        asking.join()
        (tmp_path / "go").touch()
        said = ended(server, tmp_path)

    assert "Traceback" not in said
    assert (answers[0].status_code, code_of(answers[0])) == (503, ErrorCode.UNAVAILABLE)
    assert open_run(tmp_path) == 2


def test_a_signal_that_comes_as_soon_as_it_listens_ends_it(tmp_path: Path) -> None:
    with process(tmp_path) as (server, _):
        server.send_signal(signal.SIGTERM)
        ended(server, tmp_path)


def test_the_garbage_collector_is_left_as_it_was() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    during: list[int] = []

    def ready(url: str) -> None:
        during.append(gc.get_freeze_count())
        signal.raise_signal(signal.SIGTERM)

    with DataPlane() as data:
        serve(data, port=0, ready=ready)

    assert during[0] > 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


@pytest.mark.parametrize(("halts", "status"), [("before", OpStatus.APPLIED), ("after", OpStatus.ALREADY)])
def test_an_op_has_one_effect_when_the_server_is_killed_beneath_it_and_comes_back(
    tmp_path: Path, halts: str, status: OpStatus
) -> None:
    open_run(tmp_path)
    results: list[Any] = []
    with ExitStack() as stack, process(tmp_path, "--halts", halts) as (server, url):

        def come_back(pause_s: float) -> None:
            (tmp_path / "go").touch()
            server.wait(DEADLINE_S)
            stack.enter_context(process(tmp_path, "--port", url.rpartition(":")[2]))

        asking = threading.Thread(target=lambda: results.append(write_one(url, sleep=come_back)))
        asking.start()
        until((tmp_path / "reached").exists)
        server.kill()
        asking.join()

    assert results[0][0].status is status
    with DataPlane(tmp_path / "data.db") as data:
        assert data.rows("raw", "t") == [{"k": 1}]
        assert data.effects == 1
