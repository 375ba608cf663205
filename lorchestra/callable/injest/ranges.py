"""What a run is to fetch, and how far it may move the cursor. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lorchestra.callable.injest import times
from lorchestra.callable.injest.asked import Asked
from lorchestra.errors import DefinitionError, PermanentError, Problem
from lorchestra.items import Checkpoint
from lorchestra.json_value import JSONValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From `since` to before `until`; None is without an end. `limit` is the most records."""

    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None

    @property
    def is_empty(self) -> bool:
        return self.since is not None and self.until is not None and self.since >= self.until


class Cursor:
    """How far all has been fetched, without a gap behind it."""

    def __init__(
        self, key: str, stored: JSONValue = None, *, moves: bool, never_back: bool = False, ceiling: datetime
    ) -> None:
        """`ceiling` is now: an object dated in the future is no reason to fetch nothing until then."""
        self._key = key
        self._stored = stored
        self._moves = moves
        self._never_back = never_back
        self._ceiling = ceiling
        self._last = times.moment_of(stored)

    def reached(self, newest: datetime | None) -> tuple[Checkpoint, ...]:
        """All up to this moment has been yielded; what is to be yielded now."""
        if newest is None or not self._moves:
            return ()
        newest = min(newest, self._ceiling)
        if self._last is not None and newest <= self._last:
            return ()
        self._last = newest
        expected = None if self._never_back else self._stored
        return (
            Checkpoint(key=self._key, cursor=times.text_of(newest), expected=expected, never_back=self._never_back),
        )


def decide(
    asked: Asked, stored: JSONValue, *, begin: datetime | None, overlap: timedelta, now: datetime
) -> tuple[Range, Cursor]:
    """Without a `since` of its own a run goes on from the stored cursor, and begins with `begin` where there is none.

    One with a `since` moves the cursor only where it leaves no gap behind it, and never back.
    """
    last = times.moment_of(stored)
    if stored is not None and last is None:
        raise PermanentError(
            f"the cursor '{asked.cursor_key}' is no moment; something else than injest stored it under this key"
        )
    since = asked.since.resolve(now) if asked.since else None
    until = asked.until.resolve(now) if asked.until else None
    if since is not None and until is not None and since >= until:
        raise DefinitionError(
            Problem(found="'since' is not before 'until'", expected="expected a time in between", path=("since",))
        )
    if since is not None:
        moves = _leaves_no_gap(since, last, begin)
        cursor = Cursor(asked.cursor_key, stored, moves=moves, never_back=True, ceiling=now)
    elif asked.auto_since and last is not None:
        since = _earlier(last, overlap)
        cursor = Cursor(asked.cursor_key, stored, moves=True, ceiling=now)
    else:
        since = begin
        # Without `auto_since` all is fetched again, and passes the stored cursor on the way.
        cursor = Cursor(asked.cursor_key, stored, moves=True, never_back=last is not None, ceiling=now)
    return Range(since=since, until=until, limit=asked.limit), cursor


def _leaves_no_gap(since: datetime, last: datetime | None, begin: datetime | None) -> bool:
    """Whether all before `since` has been fetched, or is not wanted."""
    reached = last if last is not None else begin
    return reached is not None and since <= reached


def _earlier(moment: datetime, overlap: timedelta) -> datetime:
    try:
        return moment - overlap
    except OverflowError:
        return datetime.min.replace(tzinfo=moment.tzinfo)
