"""A transport that keeps what passed, for tests and for looking at what a job asks of storacle."""

from __future__ import annotations

from dataclasses import dataclass

from lorchestra.storacle.codec import Message
from lorchestra.storacle.transports.base import Transport


@dataclass(frozen=True, slots=True)
class Exchange:
    request: Message
    response: object


class RecordingTransport:
    """Keeps every exchange that was answered, in memory, values included: it is no log."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.exchanges: list[Exchange] = []

    def send(self, message: Message) -> object:
        response = self._inner.send(message)
        self.exchanges.append(Exchange(message, response))
        return response
