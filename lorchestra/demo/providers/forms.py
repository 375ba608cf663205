"""The part of the Google Forms interface that `injest` uses: the responses to forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Any

from lorchestra.demo.providers import page_tokens
from lorchestra.demo.providers.messages import Answer, Refusal, Request
from lorchestra.demo.providers.objects import Entry, Objects
from lorchestra.demo.providers.tokens import Tokens

_PATH = re.compile(r"/v1/forms/(?P<form>[^/]+)/responses")
_FILTER = re.compile(r"timestamp (?P<than>>=?) (?P<at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?Z)")
_LARGEST_PAGE = 5000
_EPOCH = datetime.fromtimestamp(0, UTC)
_NEVER = -(2**62)


class Form:
    """Responses as `forms.responses.list` gives them, by their ids."""

    def __init__(self, responses: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> None:
        self.responses = Objects()
        for response_id, response in responses.items():
            self.add(response_id, response)

    def add(self, response_id: str, response: Mapping[str, Any]) -> None:
        """Add a response, or put it in the place of the one with its id. One without a time is found by no filter."""
        try:
            at = _milliseconds(datetime.fromisoformat(response["lastSubmittedTime"]))
        except (LookupError, TypeError, ValueError):
            at = _NEVER
        self.add_made(response_id, at=at, make=lambda: response)

    def add_made(self, response_id: str, *, at: int, make: Callable[[], Mapping[str, Any]]) -> None:
        """Add a response that is made when it is asked for; `at` is its `lastSubmittedTime`, in milliseconds since the
        epoch.
        """
        self.responses.put(Entry(at=at, object_id=response_id), make)


class FormsService:
    """Serves forms by their ids. They may change at any time.

    Responses are listed in the order of their ids, since none is promised.
    """

    def __init__(self, forms: Mapping[str, Form], tokens: Tokens, *, largest_page: int = _LARGEST_PAGE) -> None:
        self._forms = forms
        self._tokens = tokens
        self._largest_page = largest_page

    def answer(self, request: Request) -> Answer | None:
        match = _PATH.fullmatch(request.path)
        if match is None or request.verb != "GET":
            return None
        self._tokens.user_of(request)
        form = self._forms.get(match["form"])
        if form is None:
            raise Refusal(404, "notFound", "Requested entity was not found.")
        return Answer.of_json(self._list(form.responses, request))

    def _list(self, responses: Objects, request: Request) -> dict[str, Any]:
        asked = request.param("filter") or ""
        since = _since(asked)
        size = min(int(request.param("pageSize") or 0) or _LARGEST_PAGE, _LARGEST_PAGE, self._largest_page)
        entries = responses.by_id(after=page_tokens.read(request.param("pageToken"), asked))
        page = list(islice((one for one in entries if since is None or one.at >= since), size + 1))
        listed = [responses.get(one.object_id) for one in page[:size]]
        answer: dict[str, Any] = {"responses": listed} if listed else {}
        if len(page) > size:
            answer["nextPageToken"] = page_tokens.write(page[size - 1].object_id, asked)
        return answer


def _since(asked: str) -> int | None:
    """The first millisecond that a filter means. Raises Refusal for one that is none."""
    if not asked:
        return None
    match = _FILTER.fullmatch(asked)
    if match is None:
        raise Refusal(400, "badRequest", "Invalid filter")
    moment = _milliseconds(datetime.fromisoformat(match["at"]))
    return moment if match["than"] == ">=" else moment + 1


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
