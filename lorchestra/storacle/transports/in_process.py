"""A service in this process: values pass as they are, without being encoded."""

from __future__ import annotations

from typing import Protocol

from lorchestra.storacle.codec import Message


class Service(Protocol):
    def handle(self, message: object) -> Message | None:
        """Answer any message; None for what must not be answered. Never raises."""


class InProcessTransport:
    def __init__(self, service: Service) -> None:
        self._service = service

    def send(self, message: Message) -> object:
        return self._service.handle(message)
