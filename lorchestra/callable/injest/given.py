"""What every connector is given to fetch with."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorchestra.callable.context import CancelToken
from lorchestra.callable.injest.ranges import Cursor, Range
from lorchestra.callable.injest.raw import RawRows
from lorchestra.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    range: Range
    cursor: Cursor
    rows: RawRows
    clock: Clock
    token: CancelToken
    workers: int
    stats: dict[str, int] = field(default_factory=dict)
    """Numbers for whoever looks at the run; each connector has its own."""

    def count(self, name: str, more: int = 1) -> None:
        self.stats[name] = self.stats.get(name, 0) + more
