"""Provider services on one free port of loopback, over HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Protocol, Self, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from lorchestra.demo.providers.faults import Cut, Faults
from lorchestra.demo.providers.messages import Answer, Refusal, Request


class Service(Protocol):
    def answer(self, request: Request) -> Answer | None:
        """None for a request that is none of its own. Raises Refusal. Threads call it."""


Observer: TypeAlias = Callable[[Request, Answer], None]
"""Is shown each request that a service answered, with the answer; the faults are not shown."""


class ProviderServer:
    """`with ProviderServer(...) as server:` answers at `server.url` until the block ends."""

    def __init__(self, *services: Service, observers: Sequence[Observer] = ()) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        self._services = services
        self._observers = tuple(observers)
        self._server = _Server(("127.0.0.1", 0), self._handler_class())
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="providers", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def asked(self, part: str) -> list[Request]:
        """The requests whose path has this in it."""
        return [request for request in self.requests if part in request.path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: Request) -> Answer | Cut:
        self.requests.append(request)
        effect = self.faults.effect_for(request)
        if isinstance(effect, Answer) or effect is Cut.BEFORE:
            return effect
        if callable(effect):
            effect()
        answer = self._ask(request)
        for observer in self._observers:
            observer(request, answer)
        return Cut.HALF_WAY if effect is Cut.HALF_WAY else answer

    def _ask(self, request: Request) -> Answer:
        try:
            for service in self._services:
                answer = service.answer(request)
                if answer is not None:
                    return answer
        except Refusal as refusal:
            return refusal.answer()
        return Refusal(404, "notFound").answer()

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body leave in one packet: the second of two would wait for the first to be acknowledged.
            wbufsize = 1 << 16

            def do_GET(self) -> None:
                self._handle()

            def do_POST(self) -> None:
                self._handle()

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                parts = urlsplit(self.path)
                query = parse_qs(parts.query, keep_blank_values=True)
                answer = server._answer(
                    Request(
                        verb=self.command,
                        path=unquote(parts.path),
                        query={name: tuple(values) for name, values in query.items()},
                        headers={name.lower(): value for name, value in self.headers.items()},
                        body=body,
                    )
                )
                match answer:
                    case Cut.BEFORE:
                        self._hang_up()
                    case Cut.HALF_WAY:
                        self._send(Answer.of_json({"half": "of it"}), promised=1 << 10)
                        self._hang_up()
                    case Answer():
                        self._send(answer)

            def _send(self, answer: Answer, promised: int | None = None) -> None:
                length = len(answer.content) if promised is None else promised
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(length)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.content)
                self.wfile.flush()

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, format: str, *args: object) -> None:
                """Standard error stays quiet."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away half-way is no trouble to anyone else."""
