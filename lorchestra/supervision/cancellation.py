"""How a run is asked to stop, from a signal handler or another thread."""

from __future__ import annotations

from collections.abc import Callable


class Cancellation:
    """Asked for once, it stays asked for.

    `request` may run inside a signal handler, at any point of the main thread: it takes no lock, and neither may
    the listeners.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._listeners: list[Callable[[], None]] = []

    def request(self, reason: str) -> None:
        self.reason = self.reason or reason
        for listener in tuple(self._listeners):
            listener()

    def add_listener(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)
        if self.reason is not None:
            listener()

    def remove_listener(self, listener: Callable[[], None]) -> None:
        self._listeners.remove(listener)
