"""A storacle service that others reach over HTTP: `POST /rpc` for messages, `GET /health` for whoever watches it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lorchestra.code_names import type_name
from lorchestra.errors import ConfigurationError
from lorchestra.reporting import log
from lorchestra.storacle import codec
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.http_address import HEALTH_PATH, RPC_PATH, checked_token, is_loopback
from lorchestra.storacle.transports import Service

if TYPE_CHECKING:
    import uvicorn

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

GRACE_S = 60
"""How long a server that is told to stop waits for ops to finish before their callers are sent away."""

_KEEP_ALIVE_S = 75
_BUSY_WAIT_S = 1
_COLLECT_AFTER = 20_000

_LOG = log.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Headers = ()


class _Refused(Exception):
    def __init__(self, status: int, code: ErrorCode, headers: Headers = ()) -> None:
        super().__init__(status)
        self.answer = Answer(status, codec.encode(codec.error_response(None, code)), headers)


class _Gone(Exception):
    """Nobody is there any more to be answered."""


class HttpApp:
    """An ASGI application. Of the token it keeps a hash."""

    def __init__(
        self,
        service: Service,
        *,
        token: str | None = None,
        max_bytes: int = codec.MAX_BYTES,
        at_once: int = 8,
        waiting_max: int = 64,
        body_timeout_s: float = 30.0,
    ) -> None:
        """`body_timeout_s` is how long the next piece of a request may take."""
        self._service = service
        self._token_hash = None if token is None else _hash(checked_token(token).encode())
        self._max_bytes = max_bytes
        self._at_once = asyncio.Semaphore(at_once)
        self._taken_max = at_once + waiting_max
        self._taken = 0
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.monotonic()
        try:
            answer = await self._answer(scope, receive)
        except _Gone:
            return
        except _Refused as refused:
            answer = refused.answer
            _LOG.warning("storacle.http_refused", status=answer.status)
        except asyncio.CancelledError:
            # The server cannot wait any longer; the op goes on, and whoever asks again is told how it ended.
            answer = _Refused(503, ErrorCode.UNAVAILABLE).answer
        except Exception as error:  # noqa: BLE001  the edge of the service: whatever happened, the peer gets an answer
            # The message of a foreign exception could quote a row.
            _LOG.error("storacle.http_failed", error_type=type_name(type(error)))
            answer = _Refused(500, ErrorCode.INTERNAL).answer
        else:
            duration_ms = round((time.monotonic() - begin) * 1000)
            _LOG.debug("storacle.http_answered", status=answer.status, bytes=len(answer.body), duration_ms=duration_ms)
        await _send(answer, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        match (scope["path"], scope["method"]):
            case (str(path), "GET") if path == HEALTH_PATH:
                return Answer(200, b'{"status":"ok"}')
            case (str(path), "POST") if path == RPC_PATH:
                return await self._rpc(tuple(scope["headers"]), receive)
            case (str(path), _) if path in (HEALTH_PATH, RPC_PATH):
                allowed = b"POST" if path == RPC_PATH else b"GET"
                raise _Refused(405, ErrorCode.INVALID_REQUEST, ((b"allow", allowed),))
        raise _Refused(404, ErrorCode.METHOD_NOT_FOUND)

    async def _rpc(self, headers: Headers, receive: Receive) -> Answer:
        self._check_caller(headers)
        if self._taken >= self._taken_max:
            raise _Refused(503, ErrorCode.BUSY, ((b"retry-after", str(_BUSY_WAIT_S).encode()),))
        self._taken += 1
        try:
            body = await self._body(headers, receive)
            async with self._at_once:
                return await asyncio.to_thread(self._handle, body)
        finally:
            self._taken -= 1

    def _check_caller(self, headers: Headers) -> None:
        if _values(headers, b"origin"):
            # Only browsers say where they come from. A page that someone looks at has no business here, and on
            # loopback, without a token, nothing else would keep it out.
            raise _Refused(403, ErrorCode.FORBIDDEN)
        if self._token_hash is None:
            return
        given = _values(headers, b"authorization")
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        # Hashes have one length, so the time that this takes tells nothing of the token.
        is_known = hmac.compare_digest(_hash(token.strip()), self._token_hash)
        if scheme.lower() != b"bearer" or not is_known:
            raise _Refused(401, ErrorCode.UNAUTHORIZED, ((b"www-authenticate", b"Bearer"),))

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        too_large = _Refused(413, ErrorCode.TOO_LARGE)
        # The server below has checked that it is a number.
        if any(int(length) > self._max_bytes for length in _values(headers, b"content-length")):
            raise too_large
        pieces: list[bytes] = []
        size = 0
        while True:
            try:
                async with asyncio.timeout(self._body_timeout_s):
                    event = await receive()
            except TimeoutError:
                raise _Refused(408, ErrorCode.TIMEOUT) from None
            if event["type"] == "http.disconnect":
                raise _Gone
            piece = event.get("body", b"")
            size += len(piece)
            if size > self._max_bytes:
                raise too_large
            pieces.append(piece)
            if not event.get("more_body"):
                return b"".join(pieces)

    def _handle(self, body: bytes) -> Answer:
        """On a thread: the methods of a service block."""
        answer = self._service.handle(body)
        if answer is None:
            return Answer(204)
        try:
            return Answer(200, codec.encode(answer))
        except codec.MalformedMessage as error:
            _LOG.error("storacle.answer_not_sent", rpc_code=int(error.code))
            id = answer.get("id") if isinstance(answer, dict) else None
            return Answer(200, codec.encode(codec.error_response(id, ErrorCode.INTERNAL)))


def serve(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    ready: Callable[[str], None] = lambda url: None,
    grace_s: int = GRACE_S,
) -> None:
    """Answer until SIGTERM or SIGINT: then accept nothing more, finish what is being done, answer it, and return.

    Port 0 is any that is free. `ready` is told the address once requests can come. For the main thread of a process.
    """
    if token is None and not is_loopback(host):
        raise ConfigurationError(
            "storacle serves without a token on loopback only; give a token (--token env:NAME), or host 127.0.0.1"
        )
    app = HttpApp(service, token=token)
    with listen(host, port) as listener:
        server = make_server(app, grace_s=grace_s)
        with _stopped_by_signals(server), _few_collections():
            ready(url_of(listener))
            _LOG.info("storacle.serving", port=listener.getsockname()[1], with_token=token is not None)
            server.run(sockets=[listener])
            _LOG.info("storacle.stopped")


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise ConfigurationError(f"storacle cannot listen on {host}, port {port}: {error.strerror}") from error
    # Connections have it from the listener. Else the body of an answer would wait for the peer to acknowledge the
    # head, which peers like to put off by 40 ms; asyncio sets it only for sockets that it has made itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: HttpApp, *, grace_s: int = GRACE_S) -> uvicorn.Server:
    # Imported here because only a process that serves needs it.
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            # It would configure the logging of the process, and write addresses and paths.
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=grace_s,
        )
    )


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """While the server runs it listens to signals itself; then it raises them again, which would end the process."""

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for garbage seldom, and not among what was there before: a process that serves has little to find.

    A message is tens of thousands of values that refer to each other one way and die together, so the usual pace would
    take more than a tenth of the time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


async def _send(answer: Answer, send: Send) -> None:
    headers = list(answer.headers)
    if answer.status != 204:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
