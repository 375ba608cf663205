"""Google's token endpoint on loopback, and keys of service accounts that name it."""

from __future__ import annotations

import base64
import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


class TokenEndpoint:
    """Answers each request with a status and a token; `lifetime_s` is how long it says that those are valid."""

    def __init__(self, *tokens: str) -> None:
        """After the given tokens, they are numbered."""
        self.tokens = [*tokens]
        self.status = 200
        self.lifetime_s = 3600
        self.claims: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                claims = sent["assertion"][0].split(".")[1]
                endpoint.claims.append(json.loads(base64.urlsafe_b64decode(claims + "==")))
                token = endpoint.tokens.pop(0) if endpoint.tokens else f"token-{len(endpoint.claims)}"
                answer = {"access_token": token, "expires_in": endpoint.lifetime_s}
                body = json.dumps(answer if endpoint.status == 200 else {"error": "invalid_grant"}).encode()
                self.send_response(endpoint.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Standard error stays quiet."""

        return Handler


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def account(token_uri: str) -> str:
    """The key of a service account, as JSON."""
    key = {
        "type": "service_account",
        "client_email": "writer@example.invalid",
        "private_key": _private_key(),
        "private_key_id": "1",
        "token_uri": token_uri,
    }
    return json.dumps(key)
