"""Requests for JSON objects. All of them only ask, so each may be sent again."""

from __future__ import annotations

import random as system_random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from lorchestra import retry
from lorchestra.callable.context import CancelToken
from lorchestra.callable.injest.http import failures
from lorchestra.callable.injest.http.pace import Pace
from lorchestra.callable.injest.http.tokens import Tokens
from lorchestra.clock import Clock
from lorchestra.connections.config import HttpAccess
from lorchestra.errors import PermanentError, TransientError
from lorchestra.reporting.unlogged import unlogged

# Long pauses are taken in pieces, so that a step that is to stop stops.
_PIECE_S = 0.25
# What a refusal says is looked at no further than this.
_REFUSAL_MAX_BYTES = 64 * 1024


class Exchange:
    """With one provider, for one connection. Threads may share it; it is closed at the end of its context."""

    def __init__(
        self,
        access: HttpAccess,
        tokens: Tokens,
        *,
        clock: Clock,
        token: CancelToken,
        is_quota: Callable[[bytes], bool],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = system_random.random,
    ) -> None:
        self._access = access
        self._tokens = tokens
        self._clock = clock
        self._token = token
        self._is_quota = is_quota
        self._sleep = sleep
        self._random = random
        self._pace = Pace(access.requests_per_s, monotonic=monotonic, wait=self._wait)
        # A redirect would take the token to a host that the operator did not name. Without TLS there are no
        # certificates to look at, and to load them takes longer than a small fetch.
        is_tls = access.base_url.startswith("https://")
        self._client = httpx.Client(timeout=access.timeout_s, follow_redirects=False, verify=is_tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def requests(self) -> int:
        """How many were sent, those that were sent again among them."""
        return self._pace.taken

    def get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The object at the path. Raises Gone where there is none, and what a try that is not worth another raises."""
        failed = 0
        while True:
            try:
                return self._get(path, query)
            except TransientError as error:
                failed += 1
                decision = retry.decide(self._access.retry, error, failures=failed, random=self._random)
                if isinstance(decision, retry.GiveUp) or decision.delay_s > self._access.wait_max_s:
                    raise
            self._pace.rest(decision.delay_s)

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        token = self._tokens.current()
        try:
            body = self._ask(path, query, token)
        except failures.Unauthorized:
            # It may have ended before its time; another one says whether that was the reason.
            self._tokens.expire(token)
            body = self._ask(path, query, self._tokens.current())
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise self.misfit("an answer that is no JSON object")
        return answer

    def _ask(self, path: str, query: Mapping[str, str], token: str) -> bytes:
        self._pace.take()
        self._token.check()
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        url = self._access.base_url.rstrip("/") + path
        try:
            with unlogged(), self._client.stream("GET", url, params=dict(query), headers=headers) as response:
                status, answered = response.status_code, response.headers
                body = self._read(response, self._access.response_max_bytes if status == 200 else _REFUSAL_MAX_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = failures.of_exception(error, self._access.connection)
        else:
            self._token.check()
            if status == 200 and body is not None:
                return body
            if status == 200:
                raise self.misfit(f"an answer larger than {self._access.response_max_bytes} bytes")
            failure = failures.of_status(
                status,
                answered,
                body or b"",
                connection=self._access.connection,
                now=self._clock.now(),
                is_quota=self._is_quota,
            )
        # Outside the `except`, so that the foreign error is not the context of ours.
        raise failure

    def _read(self, response: httpx.Response, most: int) -> bytes | None:
        """The body; None for one that is too large."""
        body = bytearray()
        for chunk in response.iter_bytes():
            self._token.check()
            body += chunk
            if len(body) > most:
                return None
        return bytes(body)

    def misfit(self, found: str) -> PermanentError:
        """The error for an answer that is not what the interface promises."""
        return PermanentError(f"connection '{self._access.connection}': the provider gave {found}; check base_url")

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._token.check()
            self._sleep(min(seconds, _PIECE_S))
            seconds -= _PIECE_S
