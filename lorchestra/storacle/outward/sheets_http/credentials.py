"""The tokens for Google Sheets, with errors as storacle's methods know them.

What goes wrong is logged by its kind alone, for messages of Google's library may quote what they were given.
"""

from __future__ import annotations

from collections.abc import Callable

from lorchestra.code_names import type_name
from lorchestra.connections.credentials import MachineDefault, ServiceAccount
from lorchestra.connections.google_tokens import GoogleTokens
from lorchestra.errors import ConfigurationError
from lorchestra.reporting import log
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)

_LOG = log.get_logger(__name__)


class SheetsTokens:
    """`reveal` gives the JSON of a service account's key; without it, the credentials are the machine's own."""

    def __init__(self, reveal: Callable[[], str] | None) -> None:
        given = MachineDefault() if reveal is None else ServiceAccount(key=reveal)
        self._tokens = GoogleTokens(given, SCOPES, needed_by="storacle.sheets")

    def __call__(self) -> str:
        """Raises RpcError: unauthorized for credentials that are none, unavailable when Google cannot be reached."""
        # Imported here because it takes long, and few services write to sheets.
        from google.auth import exceptions

        try:
            return self._tokens.current()
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
