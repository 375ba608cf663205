"""Messages of a Gmail mailbox, as `users.messages.get` gives them in full.

`users.messages.list` gives ids, the newest first, so a range is fetched in windows of time, the oldest first: after
each of them the cursor can move. The interface promises nothing about the edges of `after:` and `before:`, which take
seconds: the window asked for begins a second early, and what belongs to a neighbour is left to it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from lorchestra.callable.injest import concurrently, times
from lorchestra.callable.injest.given import Given
from lorchestra.callable.injest.http.exchange import Exchange
from lorchestra.callable.injest.http.failures import Gone
from lorchestra.callable.injest.windows import Windows
from lorchestra.connections.config import Gmail
from lorchestra.items import Item

SCOPES = ("https://www.googleapis.com/auth/gmail.readonly",)

# The most that the interface gives on a page.
_PAGE = 500


def items(connection: Gmail, given: Given, exchange: Exchange) -> Iterator[Item]:
    mailbox = Mailbox(connection, given, exchange)
    bounds = given.range
    end = bounds.until or given.clock.now()
    windows = Windows(_seconds(bounds.since), _seconds(end) or 0, is_open=bounds.until is None)
    left = bounds.limit
    while not windows.is_done:
        ids, following = mailbox.page(windows, _PAGE if left is None else min(left, _PAGE))
        # A window with more than fits is made smaller, rather than read from its new end.
        if following is not None and windows.narrow():
            continue
        ids = mailbox.rest(windows, ids, following, enough=left)
        newest = yield from mailbox.records(windows, ids[:left])
        if left is not None and len(ids) > left:
            # A second with more messages than were asked for: not all in it has been fetched.
            return
        yield from given.cursor.reached(newest)
        left = None if left is None else left - len(ids)
        if left == 0:
            return
        windows.advance()


class Mailbox:
    def __init__(self, connection: Gmail, given: Given, exchange: Exchange) -> None:
        self._connection = connection
        self._given = given
        self._exchange = exchange
        self._path = f"/gmail/v1/users/{quote(connection.account, safe='@')}/messages"
        self._threads = max(1, min(given.workers, connection.concurrency))

    def page(self, windows: Windows, most: int, token: str | None = None) -> tuple[list[str], str | None]:
        """Ids of messages in a window, and the token of the next page, when there is one."""
        query = {"maxResults": str(most)}
        if self._connection.include_spam_trash:
            query["includeSpamTrash"] = "true"
        if search := self._search(windows):
            query["q"] = search
        if token is not None:
            query["pageToken"] = token
        answer = self._exchange.get(self._path, query)
        self._given.token.progress()
        self._given.count("pages")
        listed, next_page = answer.get("messages", []), answer.get("nextPageToken")
        ids = (
            [one.get("id") if isinstance(one, dict) else None for one in listed] if isinstance(listed, list) else [None]
        )
        if not all(isinstance(one, str) and one for one in ids) or not isinstance(next_page, str | None):
            raise self._exchange.misfit("no list of messages where one is promised")
        return ids, next_page or None  # type: ignore[return-value]  # all of them are texts, as was seen

    def rest(self, windows: Windows, ids: list[str], token: str | None, *, enough: int | None) -> list[str]:
        """The ids on a page and on those after it, each once: what comes in meanwhile moves the others on. More than
        `enough` of them are not looked for.
        """
        seen = dict.fromkeys(ids)
        while token is not None and (enough is None or len(seen) <= enough):
            more, following = self.page(windows, _PAGE, token)
            if following == token:
                raise self._exchange.misfit("a page of messages that is its own next page")
            seen.update(dict.fromkeys(more))
            token = following
        return list(seen)

    def records(self, windows: Windows, ids: list[str]) -> Generator[Item, None, datetime | None]:
        """The messages of a window; returns when the newest of them came in."""
        newest: datetime | None = None
        for message_id, message in zip(ids, concurrently.mapped(self._get, ids, threads=self._threads), strict=True):
            if message is None:
                self._given.count("gone")
                continue
            at = times.moment_of_ms(message.get("internalDate"))
            if at is not None and _is_a_neighbours(at, windows):
                continue
            if at is not None and (newest is None or at > newest):
                newest = at
            yield self._given.rows.row(message_id, message)
        return newest if windows.until is None or newest is None else min(newest, _moment(windows.until))

    def _get(self, message_id: str) -> dict[str, Any] | None:
        """None for a message that was removed since it was listed."""
        try:
            return self._exchange.get(f"{self._path}/{quote(message_id, safe='')}", {"format": "full"})
        except Gone:
            return None

    def _search(self, windows: Windows) -> str:
        words = [f"({self._connection.query})"] if self._connection.query else []
        if windows.since is not None:
            words.append(f"after:{max(windows.since - 1, 0)}")
        if windows.until is not None:
            words.append(f"before:{windows.until}")
        return " ".join(words)


def _is_a_neighbours(at: datetime, windows: Windows) -> bool:
    second = math.floor(at.timestamp())
    return (windows.since is not None and second == windows.since - 1) or second == windows.until


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else max(math.floor(moment.timestamp()), 0)


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
