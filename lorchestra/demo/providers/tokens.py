"""A token endpoint (OAuth 2.0): for refresh tokens, and for what service accounts sign."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from lorchestra.demo.providers.messages import Answer, Refusal, Request

PATH = "/token"


class Tokens:
    """Gives access tokens, and knows later whose they are.

    `grants` says for whom each refresh token stands. What a service account signs is taken as it is: for the user it
    names, else for itself.
    """

    def __init__(self, grants: Mapping[str, str], *, lifetime_s: int = 3600) -> None:
        self.grants = dict(grants)
        self.lifetime_s = lifetime_s
        self.given = 0
        self._users: dict[str, str] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer | None:
        if request.path != PATH or request.verb != "POST":
            return None
        sent = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        user = self._user_for(sent)
        if user is None:
            return Answer.of_json({"error": "invalid_grant", "error_description": "Bad Request"}, status=400)
        with self._lock:
            self.given += 1
            token = f"access-{self.given}"
            self._users[token] = user
        return Answer.of_json({"access_token": token, "expires_in": self.lifetime_s, "token_type": "Bearer"})

    def user_of(self, request: Request) -> str:
        """Who asks. Raises Refusal for a token that was not given out, or has ended."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = self._users.get(token) if scheme == "Bearer" else None
        if user is None:
            raise Refusal(401, "authError", "Invalid Credentials")
        return user

    def expire(self) -> None:
        """All tokens end here and now, whatever was said when they were given."""
        with self._lock:
            self._users.clear()

    def _user_for(self, sent: Mapping[str, str]) -> str | None:
        if sent.get("grant_type") == "refresh_token":
            return self.grants.get(sent.get("refresh_token", ""))
        claims = _claims(sent.get("assertion", ""))
        user = claims.get("sub") or claims.get("iss")
        return user if isinstance(user, str) else None


def _claims(assertion: str) -> Mapping[str, Any]:
    try:
        part = assertion.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}
