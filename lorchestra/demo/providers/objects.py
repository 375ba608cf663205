"""What a provider holds: objects by id, each with a time. They may change while others read them."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """What is known of an object without making it. `at` is in milliseconds since the epoch."""

    at: int
    object_id: str
    thread_id: str = ""
    is_hidden: bool = False


class Objects:
    """Each object is made when it is asked for, the same each time, so that very many take little room."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._makers: dict[str, Callable[[], Any]] = {}
        self._by_time: list[tuple[int, str]] = []
        self._by_id: list[str] = []
        self._lock = threading.Lock()

    def put(self, entry: Entry, make: Callable[[], Any]) -> None:
        """Add an object, or put it in the place of the one with its id."""
        with self._lock:
            self._take_out(entry.object_id)
            self._entries[entry.object_id] = entry
            self._makers[entry.object_id] = make
            insort(self._by_time, (entry.at, entry.object_id))
            insort(self._by_id, entry.object_id)

    def remove(self, object_id: str) -> None:
        with self._lock:
            self._take_out(object_id)

    def get(self, object_id: str) -> Any:
        """The object; None where there is none."""
        make = self._makers.get(object_id)
        return None if make is None else make()

    def all(self) -> dict[str, Any]:
        return {object_id: self.get(object_id) for object_id in list(self._by_id)}

    def newest_first(self, *, since: int | None, until: int | None, after: tuple[int, str] | None) -> Iterator[Entry]:
        """The entries from `since` to before `until`, from the one that follows `after` on."""
        with self._lock:
            first = 0 if since is None else bisect_left(self._by_time, (since, ""))
            end = len(self._by_time) if until is None else bisect_left(self._by_time, (until, ""))
            if after is not None:
                end = min(end, bisect_left(self._by_time, after))
        for place in range(end - 1, first - 1, -1):
            yield from self._at(self._by_time, place)

    def by_id(self, *, after: str | None) -> Iterator[Entry]:
        """The entries in the order of their ids, from the one that follows `after` on."""
        with self._lock:
            first = 0 if after is None else bisect_left(self._by_id, after + "\0")
        for place in range(first, len(self._by_id)):
            yield from self._at(self._by_id, place)

    def __len__(self) -> int:
        return len(self._entries)

    def _at(self, order: list[Any], place: int) -> Iterator[Entry]:
        # One that is taken away meanwhile moves the others by one place.
        with self._lock:
            found = order[place] if place < len(order) else None
            entry = None if found is None else self._entries[found if isinstance(found, str) else found[1]]
        if entry is not None:
            yield entry

    def _take_out(self, object_id: str) -> None:
        entry = self._entries.pop(object_id, None)
        if entry is not None:
            del self._makers[object_id]
            del self._by_time[bisect_left(self._by_time, (entry.at, object_id))]
            del self._by_id[bisect_left(self._by_id, object_id)]
