"""Requests to the Google Sheets interface (v4), tried again as long as that helps.

Every request here may be sent twice: each says what the sheet is to be, none adds to what it is. An answer that reports
a mistake is not read, since it may quote cells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import random
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import orjson

from lorchestra import retry
from lorchestra.clock import Clock, SystemClock
from lorchestra.errors import ConfigurationError, Path, TransientError
from lorchestra.reporting.unlogged import unlogged
from lorchestra.retry_after import parse_retry_after
from lorchestra.schemas import RetryPolicy
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.http_address import is_loopback
from lorchestra.storacle.service import RpcError

BASE_URL = "https://sheets.googleapis.com"

# The quotas are per minute: five pauses like these outlast one.
_POLICY = RetryPolicy(max_retries=5, initial_delay_seconds=2, max_delay_seconds=32, backoff_multiplier=2, jitter=True)
# For longer than this, whoever runs the step waits, and not this service.
_LONGEST_WAIT_S = 60.0

_STATUS: Mapping[int, tuple[ErrorCode, Path]] = {
    400: (ErrorCode.INVALID_PARAMS, ()),
    401: (ErrorCode.UNAUTHORIZED, ()),
    403: (ErrorCode.FORBIDDEN, ("spreadsheet_id",)),
    404: (ErrorCode.INVALID_PARAMS, ("spreadsheet_id",)),
    413: (ErrorCode.TOO_LARGE, ()),
}
_TRANSIENT_STATUS: Mapping[int, ErrorCode] = {
    408: ErrorCode.TIMEOUT,
    409: ErrorCode.UNAVAILABLE,
    425: ErrorCode.UNAVAILABLE,
    429: ErrorCode.RATE_LIMITED,
    504: ErrorCode.TIMEOUT,
}

# Most specific first.
_FAILURES: tuple[tuple[type[Exception], ErrorCode], ...] = (
    (httpx.TimeoutException, ErrorCode.TIMEOUT),
    (httpx.LocalProtocolError, ErrorCode.REFUSED),
    (httpx.UnsupportedProtocol, ErrorCode.REFUSED),
    (httpx.TransportError, ErrorCode.UNAVAILABLE),
    (httpx.HTTPError, ErrorCode.REFUSED),
    (httpx.InvalidURL, ErrorCode.REFUSED),
)
_TRANSIENT = frozenset({ErrorCode.TIMEOUT, ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED})


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetsAccess:
    """How to reach the interface. `token` gives an access token that is valid for some minutes yet."""

    token: Callable[[], str] = field(repr=False)
    base_url: str = BASE_URL
    timeout_s: float = 60.0
    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            # Not quoted: what is wrong in it may be a password.
            raise ConfigurationError("storacle.sheets.base_url must begin with 'https://', except for this machine")


class _TryAgain(TransientError):
    def __init__(self, code: ErrorCode, retry_after: float | None = None) -> None:
        super().__init__(code.name.lower(), retry_after=retry_after)
        self.code = code


def code_of(error: Exception) -> ErrorCode:
    """The code for an error of httpx."""
    return next(code for kind, code in _FAILURES if isinstance(error, kind))


class Spreadsheet:
    """Requests about one spreadsheet, over a client that the caller opens and closes."""

    def __init__(self, access: SheetsAccess, client: httpx.Client, spreadsheet_id: str, *, at: Path) -> None:
        self._access = access
        self._client = client
        self._url = f"{access.base_url.rstrip('/')}/v4/spreadsheets/{quote(spreadsheet_id, safe='')}"
        self._at = at

    def get(self, *, fields: str) -> Any:
        return self._ask("GET", "", None, {"fields": fields})

    def post(self, method: str, body: object) -> Any:
        """`method` as the interface writes it after the id, such as `:batchUpdate`."""
        return self._ask("POST", method, orjson.dumps(body), {})

    def _ask(self, verb: str, method: str, body: bytes | None, query: Mapping[str, str]) -> Any:
        failures = 0
        while True:
            try:
                return self._ask_once(verb, method, body, query)
            except _TryAgain as error:
                failures += 1
                decision = retry.decide(_POLICY, error, failures=failures, random=self._access.random)
                refusal = RpcError(error.code, at=self._at, retry_after=error.retry_after)
            if isinstance(decision, retry.GiveUp) or decision.delay_s > _LONGEST_WAIT_S:
                raise refusal
            self._access.sleep(decision.delay_s)

    def _ask_once(self, verb: str, method: str, body: bytes | None, query: Mapping[str, str]) -> Any:
        headers = {"Authorization": f"Bearer {self._access.token()}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            with unlogged():
                response = self._client.request(verb, self._url + method, content=body, params=query, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            code = code_of(error)
        else:
            return self._answer(response)
        # Outside the `except`: messages of httpx may quote what was sent.
        raise _TryAgain(code) if code in _TRANSIENT else RpcError(code, at=self._at)

    def _answer(self, response: httpx.Response) -> Any:
        status = response.status_code
        if status == 200:
            try:
                return orjson.loads(response.content)
            except orjson.JSONDecodeError:
                pass
            raise RpcError(ErrorCode.REFUSED, at=self._at)
        if status in _TRANSIENT_STATUS or status >= 500:
            wait = parse_retry_after(response.headers.get("Retry-After"), now=self._access.clock.now())
            raise _TryAgain(_TRANSIENT_STATUS.get(status, ErrorCode.UNAVAILABLE), wait)
        code, place = _STATUS.get(status, (ErrorCode.REFUSED, ()))
        raise RpcError(code, at=(*self._at, *place))


def open_client(access: SheetsAccess) -> httpx.Client:
    # A redirect would take the rows, and the token, to a host the operator did not name.
    return httpx.Client(timeout=access.timeout_s, follow_redirects=False)
