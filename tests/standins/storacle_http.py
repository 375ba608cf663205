"""A storacle behind real HTTP on loopback, in a thread; and a proxy before it that loses answers."""

from __future__ import annotations

import socket
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from lorchestra.storacle.codec import Message
from lorchestra.storacle.http_server import HttpApp, listen, make_server, url_of
from lorchestra.storacle.transports import Service


class HttpStoracle:
    """Whoever has a new service for the next test puts it into `service`."""

    def __init__(self, service: Service | None = None, **options: Any) -> None:
        self.service = service
        self._listener = listen("127.0.0.1", 0)
        self.url = url_of(self._listener)
        self.port: int = self._listener.getsockname()[1]
        self._server = make_server(HttpApp(self, **options))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})

    def handle(self, message: object) -> Message | None:
        assert self.service is not None
        return self.service.handle(message)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


class LossyProxy:
    """Passes on every byte, both ways; but of so many answers only the first bytes that `cuts` tells, then it hangs up.

    The service has done what it was asked to by the time it begins to answer.
    """

    def __init__(self, port: int, *cuts: int) -> None:
        self._port = port
        self._cuts = deque(cuts)
        self._listener = listen("127.0.0.1", 0)
        self.url = url_of(self._listener)
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._sockets):
            _hang_up(one)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._sockets):
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                service = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, service]
                self._start(self._ask, client, service)
                self._start(self._answer, client, service)

    def _ask(self, client: socket.socket, service: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                service.sendall(data)
        _hang_up(service)

    def _answer(self, client: socket.socket, service: socket.socket) -> None:
        with suppress(OSError):
            while data := service.recv(65536):
                if self._cuts:
                    client.sendall(data[: self._cuts.popleft()])
                    break
                client.sendall(data)
        _hang_up(client)
        _hang_up(service)

    def _start(self, work: Any, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()


def _hang_up(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
