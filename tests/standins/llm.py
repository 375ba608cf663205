"""An OpenAI-compatible service on loopback that does what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeAlias

ANSWER = "the answer of the stand-in"
MODEL = "stand-in-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    path: str
    headers: Mapping[str, str]
    body: Any


class Reply:
    """The raw connection of one request, for a behaviour to do with as it likes."""

    def __init__(self, handler: BaseHTTPRequestHandler, asked: Asked, closing: threading.Event) -> None:
        self._handler = handler
        self.asked = asked
        self.closing = closing

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self.write(body)

    def write(self, data: bytes) -> bool:
        """Whether the client still listens."""
        try:
            self._handler.wfile.write(data)
            self._handler.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            # The client has had enough of the answer, as it may.
            self._handler.close_connection = True
            return False
        return True


Behaviour: TypeAlias = Callable[[Reply], None]

_JSON = {"Content-Type": "application/json"}


def answer(text: str = ANSWER, *, finish_reason: str = "stop", model: str = MODEL) -> Behaviour:
    return document(
        {
            "model": model,
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        }
    )


def document(value: object, *, headers: Mapping[str, str] = _JSON) -> Behaviour:
    return body(json.dumps(value).encode(), headers=headers)


def body(data: bytes, *, headers: Mapping[str, str] = _JSON) -> Behaviour:
    return lambda reply: reply.send(200, data, headers)


def refuse(status: int, *, headers: Mapping[str, str] | None = None) -> Behaviour:
    """An error whose body and headers echo the key and the prompt, as careless services do."""

    def behave(reply: Reply) -> None:
        echo = json.dumps({"error": {"message": f"{reply.asked.headers} {reply.asked.body}"}}).encode()
        authorization = reply.asked.headers.get("authorization", "")
        reply.send(status, echo, {**_JSON, "X-Echo": authorization, **(headers or {})})

    return behave


def hang(reply: Reply) -> None:
    """Say nothing for as long as the service stands."""
    reply.closing.wait()


def cut(reply: Reply) -> None:
    """Promise an answer, send half of it, and close the connection."""
    half = json.dumps({"echo": reply.asked.body}).encode()
    reply.send(200, half, {**_JSON, "Content-Length": str(2 * len(half))})


def babble(reply: Reply) -> None:
    """Answer in no protocol at all, quoting the request."""
    reply.write(f"NONSENSE {reply.asked.headers} {reply.asked.body}\r\n\r\n".encode())


class StandInLlm:
    """Behaviours are used one per request, in order; after the last, requests get a plain answer."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.asked: list[Asked] = []
        self._behaviours = deque(behaviours)
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(path=self.path, headers=headers, body=json.loads(self.rfile.read(length)))
                service.asked.append(asked)
                behave = service._behaviours.popleft() if service._behaviours else answer()
                behave(Reply(self, asked, service._closing))

            def log_message(self, format: str, *args: object) -> None:
                """Tests read what was asked from `asked`; standard error stays quiet."""

        return Handler
