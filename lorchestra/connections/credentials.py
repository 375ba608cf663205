"""How a connection says who it is. What is secret is a function, asked when a token is fetched and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

Reveal: TypeAlias = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """`key` gives the JSON of the account's key; `subject` is the user it acts for, where it may."""

    key: Reveal = field(repr=False)
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """What a user once granted to a client; the token endpoint gives access tokens for it."""

    client_id: str
    client_secret: Reveal = field(repr=False)
    refresh_token: Reveal = field(repr=False)
    token_url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MachineDefault:
    """The credentials that the provider's own library finds on the machine."""


Credentials: TypeAlias = ServiceAccount | RefreshToken | MachineDefault
