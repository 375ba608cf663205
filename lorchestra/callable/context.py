"""What a callable is given beside its params."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lorchestra.clock import Clock
from lorchestra.connections.known import Connections
from lorchestra.items import Item, Marker, MarkerResult, Record


class CallableLog(Protocol):
    """A log of events and numbers. Strings are data here, so there is no way to pass one.

    The names of events and fields are those that stand in the callable's code; others are left out.
    """

    def info(self, event: str, **counts: int | float | bool) -> None: ...

    def warning(self, event: str, **counts: int | float | bool) -> None: ...


class CancelToken(Protocol):
    """Asked now and then by long work; yielding an item or pulling one asks as well."""

    def check(self) -> None:
        """Raise when the step should stop: it was cancelled, or nobody waits for it any more."""

    def progress(self) -> None:
        """Say that work goes on, so that `timeout_s` starts anew; and check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A file the callable declared: a schema, a transform, a measure, a template."""

    content: bytes
    sha256: str


# Not frozen: one is made for each step, and freezing takes longer than making it.
@dataclass(slots=True, kw_only=True)
class CallableContext:
    run_id: str
    step_id: str
    namespace: str
    clock: Clock
    log: CallableLog
    token: CancelToken
    items: Iterator[Item] = field(default_factory=lambda: iter(()))
    """The step's input: the items of an earlier step, or what `read:` reads through storacle."""
    resources: Mapping[str, Resource] = field(default_factory=dict)
    connections: Connections = field(default_factory=Connections)
    """Those that the callable declared."""
    workers: int = 1
    stage: str | None = None
    """What the step's `read` calls the stage whose unprocessed records it asks for."""
    code_hash: str = ""
    """Of all that decides what the step makes of a record: code, resources, and the params it was written with."""

    def done(self, record: Record, result: MarkerResult = MarkerResult.OK) -> tuple[Marker, ...]:
        """What says that the stage is done with a record, to be yielded after all that came of it; without a stage,
        nothing.
        """
        if self.stage is None or record.content_hash is None or record.idem_key is None:
            return ()
        return (
            Marker(
                stage=self.stage,
                idem_key=record.idem_key,
                content_hash=record.content_hash,
                code_hash=self.code_hash,
                result=result,
            ),
        )
