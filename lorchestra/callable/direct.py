"""A context to call a callable with directly: from a shell, a notebook, or its author's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from lorchestra.callable.context import CallableContext, Resource
from lorchestra.clock import Clock, SystemClock
from lorchestra.connections.known import Connections
from lorchestra.items import as_item


class SilentLog:
    def info(self, event: str, **counts: int | float | bool) -> None:
        """Nobody listens."""

    def warning(self, event: str, **counts: int | float | bool) -> None:
        """Nobody listens."""


class NeverCancelled:
    def check(self) -> None:
        """Nobody asks it to stop."""

    def progress(self) -> None:
        """Nobody waits for it."""


def direct_context(
    *,
    items: Iterable[object] = (),
    resources: Mapping[str, bytes] | None = None,
    connections: Connections | None = None,
    clock: Clock | None = None,
    workers: int = 1,
) -> CallableContext:
    """A context outside of any run: its log is silent, and nothing cancels it."""
    contents = resources or {}
    return CallableContext(
        run_id="direct",
        step_id="direct",
        namespace="direct",
        clock=clock or SystemClock(),
        log=SilentLog(),
        token=NeverCancelled(),
        items=(as_item(item) for item in items),
        resources={
            name: Resource(content=content, sha256=hashlib.sha256(content).hexdigest())
            for name, content in contents.items()
        },
        connections=connections or Connections(),
        workers=workers,
    )
