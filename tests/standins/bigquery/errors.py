"""What the stand-in refuses, in the words and shapes of Google's APIs."""

from __future__ import annotations

from typing import Any, TypeAlias

JSONObject: TypeAlias = dict[str, Any]

_STATUS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}

_CODES = {
    "accessDenied": 403,
    "quotaExceeded": 403,
    "notFound": 404,
    "duplicate": 409,
    "conditionNotMet": 412,
    "rateLimitExceeded": 429,
    "jobRateLimitExceeded": 429,
    "internalError": 500,
    "notImplemented": 501,
    "backendError": 503,
    "jobBackendError": 503,
}

REASONS = {
    403: "accessDenied",
    404: "notFound",
    409: "duplicate",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "backendError",
    501: "notImplemented",
    503: "backendError",
}
"""The reason usually given with an HTTP status."""


class Refusal(Exception):
    """A request refused, or a job failed; the reason decides the HTTP status unless one is given."""

    def __init__(self, reason: str, message: str, *, code: int | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.code = code if code is not None else _CODES.get(reason, 400)

    def body(self) -> JSONObject:
        error = {"reason": self.reason, "domain": "global", "message": self.message}
        status = _STATUS.get(self.code, "UNKNOWN")
        return {"error": {"code": self.code, "message": self.message, "errors": [error], "status": status}}

    def proto(self) -> JSONObject:
        """The same, as the status of a job says it."""
        return {"reason": self.reason, "message": self.message}


class Injected(Refusal):
    """What ends a job from outside: a fault of a test, or a cancellation. No exception handler of a script sees it."""


def unsupported(what: str) -> Refusal:
    """For what BigQuery can and the stand-in cannot: never ignored in silence."""
    return Refusal("notImplemented", f"the stand-in does not support {what}")


def refuse_other_fields(given: JSONObject, honoured: frozenset[str], where: str) -> None:
    """A field that the stand-in does not honour may be given only if it asks for nothing."""
    others = sorted(name for name, value in given.items() if name not in honoured and value)
    if others:
        raise unsupported(f"{where}: {', '.join(others)}")
