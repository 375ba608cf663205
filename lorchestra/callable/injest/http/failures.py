"""What went wrong with a request, as an error of ours.

What the peer sends may quote what it was sent, and messages of httpx may quote the peer. So the sentences are our own,
and nothing is chained to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import httpx

from lorchestra.errors import LorchestraError, PermanentError, TransientError
from lorchestra.retry_after import parse_retry_after

# Most specific first.
_FAILURES: tuple[tuple[type[Exception], type[LorchestraError], str], ...] = (
    (httpx.ConnectTimeout, TransientError, "the provider could not be reached in time"),
    (httpx.TimeoutException, TransientError, "the provider did not answer in time"),
    (httpx.ConnectError, TransientError, "the provider cannot be reached; check base_url"),
    (httpx.NetworkError, TransientError, "the connection to the provider broke"),
    (httpx.ProxyError, TransientError, "the proxy before the provider refused the connection"),
    (httpx.RemoteProtocolError, TransientError, "the provider broke off, or does not speak HTTP"),
    (httpx.DecodingError, TransientError, "the provider's answer did not arrive whole"),
    (httpx.LocalProtocolError, PermanentError, "the request to the provider is not valid HTTP"),
    (httpx.UnsupportedProtocol, PermanentError, "base_url is not usable"),
    (httpx.HTTPError, PermanentError, "the exchange with the provider failed"),
    (httpx.InvalidURL, PermanentError, "base_url is not usable"),
)

_TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
_ADVICE: Mapping[int, str] = {
    400: "check the settings of the connection",
    401: "check its credentials",
    403: "check what the account of its credentials may see",
    404: "check its account, its ids and base_url",
}


class Gone(PermanentError):
    """There is nothing (any more) at the address."""


class Unauthorized(PermanentError):
    """The token is not taken; another one may be."""


def of_exception(error: Exception, connection: str) -> LorchestraError:
    """An error of httpx as ours. Its message stays behind; its type says enough."""
    for foreign, ours, sentence in _FAILURES:
        if isinstance(error, foreign):
            return ours(f"connection '{connection}': {sentence} ({type(error).__name__})")
    raise TypeError(f"a {type(error).__name__} is no error of httpx") from error


def of_status(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    connection: str,
    now: datetime,
    is_quota: Callable[[bytes], bool],
) -> LorchestraError:
    """An answer that is none. `is_quota` tells of the body of a 403 whether it speaks of too many requests."""
    said = f"connection '{connection}': the provider"
    wait = parse_retry_after(headers.get("Retry-After"), now=now)
    if status == 403 and is_quota(body):
        return TransientError(f"{said} wants fewer requests (status 403)", retry_after=wait)
    if status == 429:
        return TransientError(f"{said} wants fewer requests (status 429)", retry_after=wait)
    if status in _TRANSIENT_STATUS or status >= 500:
        return TransientError(f"{said} is not able to answer now (status {status})", retry_after=wait)
    if 300 <= status < 400:
        return PermanentError(f"{said} redirects (status {status}); set base_url to the final address")
    kind = {401: Unauthorized, 404: Gone, 410: Gone}.get(status, PermanentError)
    advice = _ADVICE.get(status)
    return kind(f"{said} refused the request (status {status})" + (f"; {advice}" if advice else ""))
