"""The part of the Gmail interface that `injest` uses: the messages of mailboxes, listed and one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from lorchestra.demo.providers import page_tokens
from lorchestra.demo.providers.messages import Answer, Refusal, Request
from lorchestra.demo.providers.objects import Entry, Objects
from lorchestra.demo.providers.tokens import Tokens

_PATH = re.compile(r"/gmail/v1/users/(?P<user>[^/]+)/messages(?:/(?P<id>[^/]+))?")
_BOUND = re.compile(r"(after|before):([0-9]+)")
_HIDDEN = frozenset({"SPAM", "TRASH"})
_LARGEST_PAGE = 500


class Mailbox:
    """Messages as `users.messages.get` gives them in full, by their ids."""

    def __init__(self, messages: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> None:
        self.messages = Objects()
        for message_id, message in messages.items():
            self.add(message_id, message)

    def add(self, message_id: str, message: Mapping[str, Any]) -> None:
        """Add a message, or put it in the place of the one with its id."""
        self.add_made(
            message_id,
            at=_milliseconds(message.get("internalDate")),
            make=lambda: message,
            thread_id=message.get("threadId"),
            is_hidden=bool(_HIDDEN & set(message.get("labelIds", ()))),
        )

    def add_made(
        self,
        message_id: str,
        *,
        at: int,
        make: Callable[[], Mapping[str, Any]],
        thread_id: str | None = None,
        is_hidden: bool = False,
    ) -> None:
        """Add a message that is made when it is asked for; `at` is its `internalDate`."""
        entry = Entry(at=at, object_id=message_id, thread_id=thread_id or message_id, is_hidden=is_hidden)
        self.messages.put(entry, make)


class GmailService:
    """Serves mailboxes by their addresses, which may change at any time.

    Of a search it knows `after:` and `before:`, in whole seconds and without their edges.
    """

    def __init__(self, mailboxes: Mapping[str, Mailbox], tokens: Tokens, *, largest_page: int = _LARGEST_PAGE) -> None:
        self._mailboxes = mailboxes
        self._tokens = tokens
        self._largest_page = largest_page

    def answer(self, request: Request) -> Answer | None:
        match = _PATH.fullmatch(request.path)
        if match is None or request.verb != "GET":
            return None
        messages = self._mailbox(match["user"], self._tokens.user_of(request)).messages
        if match["id"] is None:
            return Answer.of_json(self._list(messages, request))
        message = messages.get(match["id"])
        if message is None:
            raise Refusal(404, "notFound", "Requested entity was not found.")
        return Answer.of_json(message)

    def _mailbox(self, user: str, asking: str) -> Mailbox:
        address = asking if user == "me" else user
        if address != asking:
            raise Refusal(403, "forbidden", f"Delegation denied for {asking}")
        if address not in self._mailboxes:
            raise Refusal(400, "failedPrecondition", "Mail service not enabled")
        return self._mailboxes[address]

    def _list(self, messages: Objects, request: Request) -> dict[str, Any]:
        search = request.param("q") or ""
        bounds = {word: int(second) * 1000 for word, second in _BOUND.findall(search)}
        size = min(int(request.param("maxResults") or 100), _LARGEST_PAGE, self._largest_page)
        with_hidden = request.param("includeSpamTrash") == "true"
        question = f"{search} {with_hidden}"
        after = page_tokens.read(request.param("pageToken"), question)
        entries = messages.newest_first(
            since=bounds["after"] + 1000 if "after" in bounds else None,
            until=bounds.get("before"),
            after=None if after is None else (after[0], after[1]),
        )
        page = list(islice((one for one in entries if with_hidden or not one.is_hidden), size + 1))
        listed = [{"id": one.object_id, "threadId": one.thread_id} for one in page[:size]]
        answer: dict[str, Any] = {"resultSizeEstimate": len(page)}
        if listed:
            answer["messages"] = listed
        if len(page) > size:
            last = page[size - 1]
            answer["nextPageToken"] = page_tokens.write([last.at, last.object_id], question)
        return answer


def _milliseconds(value: object) -> int:
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else 0
