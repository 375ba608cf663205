"""Responses to a Google form, as `forms.responses.list` gives them.

The interface promises no order, so the cursor moves when all pages have been read. It has no filter for the end of a
range: what was submitted later is left out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from lorchestra.callable.injest import times
from lorchestra.callable.injest.given import Given
from lorchestra.callable.injest.http.exchange import Exchange
from lorchestra.callable.injest.raw import external_id
from lorchestra.connections.config import GoogleForms
from lorchestra.items import Item

SCOPES = ("https://www.googleapis.com/auth/forms.responses.readonly",)

# Fifty times as many could be asked for, and would have to be held.
_PAGE = 100


def items(connection: GoogleForms, given: Given, exchange: Exchange) -> Iterator[Item]:
    bounds, left = given.range, given.range.limit
    newest: datetime | None = None
    for response in _responses(connection, given, exchange):
        submitted = times.moment_of(response.get("lastSubmittedTime") if isinstance(response, dict) else None)
        if submitted is not None and bounds.until is not None and submitted >= bounds.until:
            continue
        if left == 0:
            # There is one more than was asked for, so not all has been fetched.
            return
        left = None if left is None else left - 1
        if submitted is not None and (newest is None or submitted > newest):
            newest = submitted
        yield given.rows.row(external_id(response, "responseId"), response)
    yield from given.cursor.reached(newest)


def _responses(connection: GoogleForms, given: Given, exchange: Exchange) -> Iterator[Any]:
    path = f"/v1/forms/{quote(connection.form_id, safe='')}/responses"
    query = {"pageSize": str(_PAGE)}
    if given.range.since is not None:
        query["filter"] = f"timestamp >= {times.text_of(given.range.since)}"
    while True:
        answer = exchange.get(path, query)
        given.token.progress()
        given.count("pages")
        responses, token = answer.get("responses", []), answer.get("nextPageToken")
        if not isinstance(responses, list) or not isinstance(token, str | None):
            raise exchange.misfit("no list of responses where one is promised")
        yield from responses
        if not token:
            return
        if token == query.get("pageToken"):
            raise exchange.misfit("a page of responses that is its own next page")
        query["pageToken"] = token
