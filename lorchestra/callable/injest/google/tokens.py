"""The tokens of a connection to Google, with errors as `injest` knows them."""

from __future__ import annotations

from collections.abc import Sequence

from lorchestra.connections.credentials import Credentials
from lorchestra.connections.google_tokens import GoogleTokens
from lorchestra.errors import LorchestraError, PermanentError, TransientError


class ConnectionTokens:
    def __init__(self, connection: str, credentials: Credentials, scopes: Sequence[str]) -> None:
        self._connection = connection
        self._tokens = GoogleTokens(credentials, scopes, needed_by=f"connection '{connection}'")

    def current(self) -> str:
        # Imported here because it takes long, and few steps need it.
        from google.auth import exceptions

        failure: LorchestraError
        try:
            return self._tokens.current()
        except exceptions.TransportError:
            failure = TransientError(f"connection '{self._connection}': no token could be fetched; nobody answers")
        except (exceptions.GoogleAuthError, ValueError) as error:
            if getattr(error, "retryable", False):
                failure = TransientError(f"connection '{self._connection}': no token could be fetched now")
            else:
                failure = PermanentError(
                    f"connection '{self._connection}': its credentials give no token; check them, and what was granted"
                )
        # Outside the `except`: the error may quote the key.
        raise failure

    def expire(self, token: str) -> None:
        self._tokens.expire(token)
