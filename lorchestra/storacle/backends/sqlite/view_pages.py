"""Pages of views. SQLite carries out all of a view for any page of it, so the pages that follow are kept as well."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.base import Page
from lorchestra.storacle.backends.sqlite import reading
from lorchestra.storacle.backends.sqlite.sources import Source
from lorchestra.storacle.read_spec import Read


class ViewPages:
    """Those of the read that was begun last. They are given out once, and what is not here is read again: whoever asks
    for the rest much later, or of another service, finds it.
    """

    def __init__(self) -> None:
        self._asked: object = None
        self._kept: dict[bytes, bytes] = {}

    def page(
        self, connection: sqlite3.Connection, source: Source, read: Read, after: Sequence[Any] | None, limit: int
    ) -> Page:
        """One at a time: the connection is its own."""
        asked = (source.physical, tuple(source.columns.items()), read, limit)
        kept = self._kept.pop(canonical_bytes(after), None) if asked == self._asked else None
        if kept is not None:
            return Page(**orjson.loads(kept))
        self._asked, self._kept = asked, {}
        found = reading.pages(connection, source, read, after, limit)
        first = next(found)
        before = first.next
        for page in found:
            # As text it takes a fraction of the memory.
            self._kept[canonical_bytes(before)] = orjson.dumps({"rows": page.rows, "next": page.next})
            before = page.next
        return first
