"""A storacle in a process of its own, which outlives those that are killed: JSON lines over a local socket."""

from __future__ import annotations

import socket
from pathlib import Path

import orjson

from lorchestra.storacle.codec import Message
from tests.data_plane import DataPlane


class SocketTransport:
    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, message: Message) -> object:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._path))
            with connection.makefile("rwb") as file:
                file.write(orjson.dumps(message, default=dict) + b"\n")
                file.flush()
                return orjson.loads(file.readline())


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def serve(listener: socket.socket, path: Path) -> None:
    """Answers one message a connection, for ever."""
    service = DataPlane(path)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as file:
            if line := file.readline():
                file.write(orjson.dumps(service.handle(orjson.loads(line))) + b"\n")
