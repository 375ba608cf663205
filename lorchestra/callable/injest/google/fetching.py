"""Puts together what fetches from Google: tokens, the exchange, and the connector's own part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from lorchestra.callable.injest.given import Given
from lorchestra.callable.injest.google import forms, gmail
from lorchestra.callable.injest.google.quota import is_quota
from lorchestra.callable.injest.google.tokens import ConnectionTokens
from lorchestra.callable.injest.http.exchange import Exchange
from lorchestra.connections.config import Gmail, GoogleForms
from lorchestra.items import Item


def items(connection: Gmail | GoogleForms, given: Given) -> Iterator[Item]:
    scopes = gmail.SCOPES if isinstance(connection, Gmail) else forms.SCOPES
    tokens = ConnectionTokens(connection.name, connection.http.credentials, scopes)
    with Exchange(connection.http, tokens, clock=given.clock, token=given.token, is_quota=is_quota) as exchange:
        match connection:
            case Gmail():
                yield from gmail.items(connection, given, exchange)
            case GoogleForms():
                yield from forms.items(connection, given, exchange)
            case _:
                assert_never(connection)
        given.count("requests", exchange.requests)
