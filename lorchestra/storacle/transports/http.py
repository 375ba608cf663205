"""A service elsewhere, asked over HTTP.

Messages of the HTTP library may quote what the peer sent, and the peer what it was sent. So errors are raised with
sentences of our own, nothing is chained to them, and the body of a refusal is not even read.

A request whose answer does not arrive is sent again, byte by byte the same. That is safe: the ops of a plan have keys,
which the service writes down together with their effects; a query changes nothing; and `run.open` gives a newer token
the second time, which makes the one that got lost worthless, as it is to nobody. Should a first `run.open` be carried
out after the second, the run is fenced off: it fails, writes nothing more, and can be resumed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import httpx

from lorchestra import retry
from lorchestra.clock import Clock, SystemClock
from lorchestra.errors import ConfigurationError, PermanentError, TransientError
from lorchestra.reporting import log
from lorchestra.reporting.unlogged import unlogged
from lorchestra.retry_after import parse_retry_after
from lorchestra.schemas import RetryPolicy
from lorchestra.storacle import codec
from lorchestra.storacle.codec import Message
from lorchestra.storacle.error_codes import ErrorCode, error_for
from lorchestra.storacle.http_address import RPC_PATH, checked_token, host_of, is_loopback

RETRIES = RetryPolicy(max_retries=4, initial_delay_seconds=0.25, max_delay_seconds=10.0)

# Shorter than a server keeps an idle connection, so that a request seldom meets one that is just being closed.
_KEEP_ALIVE_S = 30.0

# Most specific first.
_FAILURES: tuple[tuple[type[Exception], type[TransientError] | type[PermanentError], str], ...] = (
    (httpx.ConnectTimeout, TransientError, "the service could not be reached in time"),
    (httpx.TimeoutException, TransientError, "the service did not answer in time"),
    (httpx.ConnectError, TransientError, "the service cannot be reached; check storacle.url, and that it runs"),
    (httpx.NetworkError, TransientError, "the connection to the service broke"),
    (httpx.ProxyError, TransientError, "the proxy before the service refused the connection"),
    (httpx.RemoteProtocolError, TransientError, "the service broke off, or does not speak HTTP"),
    (httpx.LocalProtocolError, PermanentError, "the request is not valid HTTP"),
    (httpx.UnsupportedProtocol, PermanentError, "storacle.url is not usable"),
    (httpx.HTTPError, PermanentError, "the exchange with the service failed"),
    (httpx.InvalidURL, PermanentError, "storacle.url is not usable"),
)

_STATUSES: Mapping[int, ErrorCode] = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    408: ErrorCode.TIMEOUT,
    413: ErrorCode.TOO_LARGE,
    429: ErrorCode.RATE_LIMITED,
    500: ErrorCode.INTERNAL,
    502: ErrorCode.UNAVAILABLE,
    503: ErrorCode.UNAVAILABLE,
    504: ErrorCode.TIMEOUT,
}

_LOG = log.get_logger(__name__)


def failure_of(error: Exception) -> TransientError | PermanentError:
    """An error of httpx as ours. Its message stays behind; its type says enough."""
    for foreign, ours, sentence in _FAILURES:
        if isinstance(error, foreign):
            return ours(f"storacle: {sentence} ({type(error).__name__})")
    raise TypeError(f"a {type(error).__name__} is no error of httpx") from error


class HttpTransport:
    """Threads may share it. `token` is called for each request; `wait_max_s` is the longest pause taken here."""

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] | None = None,
        timeout_s: float = 120.0,
        retries: RetryPolicy = RETRIES,
        wait_max_s: float = 30.0,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        is_near = is_loopback(host_of(url))
        is_encrypted = url.startswith("https:")
        if token is not None:
            if not (is_near or is_encrypted):
                raise ConfigurationError(
                    "storacle.url is 'http:', which would show the token to the network; use 'https:', or take "
                    "storacle.token away"
                )
            # A secret that is missing is told before anything is sent.
            checked_token(token())
        self._url = url.rstrip("/") + RPC_PATH
        self._token = token
        self._retries = retries
        self._wait_max_s = wait_max_s
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._random = random
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE_S),
            # A redirect would take the data to a host that the operator did not name.
            follow_redirects=False,
            # A proxy that the environment names would be told what is not to leave this machine.
            trust_env=not is_near,
            # Without encryption, loading certificates would cost more than all else.
            verify=is_encrypted,
        )

    def close(self) -> None:
        self._client.close()

    def send(self, message: Message) -> object:
        body = codec.encode(message)
        failures = 0
        while True:
            try:
                return self._ask(body)
            except TransientError as error:
                failures += 1
                decision = retry.decide(self._retries, error, failures=failures, random=self._random)
                if isinstance(decision, retry.GiveUp) or decision.delay_s > self._wait_max_s:
                    # The step's own retry takes over, and obeys the same retry_after.
                    raise
                _LOG.warning("storacle.retrying", failures=failures, delay_s=decision.delay_s, reason=str(error))
            self._sleep(decision.delay_s)

    def _ask(self, body: bytes) -> object:
        failure: TransientError | PermanentError
        try:
            answer = self._post(body)
            return None if answer is None else codec.decode(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = failure_of(error)
        except codec.MalformedMessage:
            failure = PermanentError("storacle: the answer is not JSON; check storacle.url")
        # Outside the `except`, so that the foreign error is not the context of ours.
        raise failure

    def _post(self, body: bytes) -> bytes | None:
        # Identity: a small compressed answer could unfold to any size.
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {checked_token(self._token())}"
        with unlogged(), self._client.stream("POST", self._url, content=body, headers=headers) as response:
            if response.status_code == 204:
                return None
            self._check_status(response)
            _check_type(response)
            return _read(response)

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        code = _STATUSES.get(status)
        if code is None:
            raise PermanentError(
                f"storacle: the answer has HTTP status {status}, as storacle never gives; check storacle.url"
            )
        wait = parse_retry_after(response.headers.get("Retry-After"), now=self._clock.now())
        raise error_for(code, {"retry_after": wait}, method=f"HTTP status {status}")


def _check_type(response: httpx.Response) -> None:
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise PermanentError("storacle: the answer is something else than application/json; check storacle.url")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise PermanentError("storacle: the answer is compressed, though that was not asked for")


def _read(response: httpx.Response) -> bytes:
    answer = bytearray()
    for chunk in response.iter_raw():
        answer += chunk
        if len(answer) > codec.MAX_BYTES:
            raise PermanentError(f"storacle: the answer is larger than {codec.MAX_BYTES} bytes")
    return bytes(answer)
