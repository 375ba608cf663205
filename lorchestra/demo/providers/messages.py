"""Requests and answers of a provider, and what it raises in place of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked. Of a param that is given several times all values are kept."""

    verb: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    body: bytes = b""

    def param(self, name: str) -> str | None:
        """The last value of a param."""
        values = self.query.get(name)
        return values[-1] if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    @classmethod
    def of_json(cls, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        content = json.dumps(value).encode()
        return cls(status=status, headers={"Content-Type": "application/json", **(headers or {})}, content=content)

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Refusal(Exception):
    """An error as Google's interfaces write it."""

    def __init__(
        self, status: int, reason: str, message: str = "", *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.message = message or reason
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        error = {"code": self.status, "message": self.message, "errors": [one], "status": _STATUS.get(self.status, "")}
        return Answer.of_json({"error": error}, status=self.status, headers=self.headers)


_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
