"""Access tokens for Google Sheets, through Google's own library: for a service account, or the machine's default.

What goes wrong is logged by its kind alone, for messages of the library may quote what they were given.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx

from lorchestra.code_names import type_name
from lorchestra.errors import ConfigurationError
from lorchestra.reporting import log
from lorchestra.reporting.unlogged import unlogged
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)

_TIMEOUT_S = 30.0

_LOG = log.get_logger(__name__)


class GoogleTokens:
    """Gives a token that is valid for some minutes yet. Threads may share it.

    `reveal` gives the JSON of a service account's key; without it, the credentials are the machine's own.
    """

    def __init__(self, reveal: Callable[[], str] | None) -> None:
        if not _is_installed():
            raise ConfigurationError(
                "storacle.sheets needs google-auth, which is not installed; install lorchestra with the extra `google`"
            )
        self._reveal = reveal
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None

    def __call__(self) -> str:
        """Raises RpcError: unauthorized for credentials that are none, unavailable when Google cannot be reached."""
        # Imported here because it takes long, and few services write to sheets.
        from google.auth import exceptions

        try:
            with self._lock:
                return self._fresh_token()
        except exceptions.TransportError as error:
            failed: Exception = error
            code = ErrorCode.UNAVAILABLE
        except (exceptions.GoogleAuthError, ConfigurationError, ValueError) as error:
            failed = error
            code = ErrorCode.UNAVAILABLE if getattr(error, "retryable", False) else ErrorCode.UNAUTHORIZED
        reason = str(failed) if isinstance(failed, ConfigurationError) else None
        _LOG.error("storacle.sheets_token", error_type=type_name(type(failed)), reason=reason)
        # Outside the `except`: the error may quote the key.
        raise RpcError(code)

    def _fresh_token(self) -> str:
        self._credentials = self._credentials or self._load()
        # So, too, when a few minutes are left.
        if not self._credentials.valid:
            self._credentials.refresh(_request)  # type: ignore[no-untyped-call]  # the library is typed in part
        return str(self._credentials.token)

    def _load(self) -> Credentials:
        if self._reveal is None:
            import google.auth

            credentials, _ = google.auth.default(scopes=SCOPES)
            return credentials
        from google.oauth2 import service_account

        key: Any = json.loads(self._reveal())
        if not isinstance(key, dict):
            raise ValueError
        given: Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            key, scopes=SCOPES
        )
        return given


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
        # A redirect would take what is sent to a host that nobody named.
        with unlogged(), httpx.Client(timeout=timeout or _TIMEOUT_S, follow_redirects=False) as client:
            return _Response(client.request(method, url, content=body, headers=headers))
    except (httpx.HTTPError, httpx.InvalidURL):
        pass
    raise exceptions.TransportError


def _is_installed() -> bool:
    try:
        return find_spec("google.auth") is not None
    except ModuleNotFoundError:
        return False
