"""Access tokens for Google's interfaces, through Google's own library.

What it raises is the library's, or a ValueError, and may quote what it was given: no message of it is to be passed on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, assert_never

import httpx

from lorchestra.connections.credentials import Credentials, MachineDefault, RefreshToken, ServiceAccount
from lorchestra.errors import ConfigurationError
from lorchestra.reporting.unlogged import unlogged

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as GoogleCredentials

_TIMEOUT_S = 30.0


class GoogleTokens:
    """Gives a token that is valid for some minutes yet. Threads may share it."""

    def __init__(self, credentials: Credentials, scopes: Sequence[str], *, needed_by: str) -> None:
        """Raises ConfigurationError where the library is not installed."""
        if not _is_installed():
            raise ConfigurationError(
                f"{needed_by} needs google-auth, which is not installed; install lorchestra with the extra `google`"
            )
        self._given = credentials
        self._scopes = tuple(scopes)
        self._lock = threading.Lock()
        self._credentials: GoogleCredentials | None = None

    def current(self) -> str:
        with self._lock:
            self._credentials = self._credentials or self._load(self._given)
            # So, too, when a few minutes are left.
            if not self._credentials.valid:
                self._credentials.refresh(_request)  # type: ignore[no-untyped-call]  # the library is typed in part
            return str(self._credentials.token)

    def expire(self, token: str) -> None:
        with self._lock:
            # Another thread may have fetched a new one meanwhile.
            if self._credentials is not None and self._credentials.token == token:
                self._credentials.token = None

    def _load(self, given: Credentials) -> GoogleCredentials:
        # Imported here because they take long, and few steps need them.
        match given:
            case ServiceAccount():
                return self._service_account(given)
            case RefreshToken():
                from google.oauth2.credentials import Credentials as UserCredentials

                return UserCredentials(  # type: ignore[no-untyped-call]
                    token=None,
                    refresh_token=given.refresh_token(),
                    client_id=given.client_id,
                    client_secret=given.client_secret(),
                    token_uri=given.token_url,
                )
            case MachineDefault():
                import google.auth

                credentials, _ = google.auth.default(scopes=self._scopes)
                return credentials
            case _:
                assert_never(given)

    def _service_account(self, given: ServiceAccount) -> GoogleCredentials:
        from google.oauth2 import service_account

        key: Any = json.loads(given.key())
        if not isinstance(key, dict):
            raise ValueError
        credentials: GoogleCredentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            key, scopes=self._scopes, subject=given.subject
        )
        return credentials


class _Response:
    """An answer as Google's library wants it."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.data = response.content


def _request(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: object,
) -> _Response:
    from google.auth import exceptions

    try:
        # A redirect would take what is sent to a host that nobody named. Without TLS there are no certificates.
        is_tls = url.startswith("https://")
        with unlogged(), httpx.Client(timeout=timeout or _TIMEOUT_S, follow_redirects=False, verify=is_tls) as client:
            return _Response(client.request(method, url, content=body, headers=headers))
    except (httpx.HTTPError, httpx.InvalidURL):
        pass
    raise exceptions.TransportError


def _is_installed() -> bool:
    try:
        return find_spec("google.auth") is not None
    except ModuleNotFoundError:
        return False
