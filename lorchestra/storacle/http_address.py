"""Where a storacle answers over HTTP, and who may be trusted with what on the way there."""

from __future__ import annotations

import ipaddress
import string
from urllib.parse import urlsplit

from lorchestra.errors import ConfigurationError

RPC_PATH = "/rpc"
HEALTH_PATH = "/health"

# What a header value may hold without being refused, quoted and all, further down.
_VISIBLE = frozenset(string.ascii_letters + string.digits + string.punctuation)


def is_loopback(host: str) -> bool:
    """Whether what is said to this host stays on this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """The host of a url. Raises ConfigurationError, which does not quote the url, when it is not a plain one."""
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        is_plain = parts.port != 0 and "@" not in parts.netloc and not parts.query and not parts.fragment
    except ValueError:
        is_plain = False
    if not is_plain or parts.scheme not in ("http", "https") or not parts.hostname or not _VISIBLE.issuperset(url):
        # Not quoted: a url that is wrong may be wrong because it holds a password.
        raise ConfigurationError(
            "storacle.url must look like 'https://host:port', without user, password, query or fragment"
        )
    return parts.hostname


def checked_token(token: str) -> str:
    if not token or not _VISIBLE.issuperset(token):
        raise ConfigurationError(
            "storacle.token is empty, or holds a space, a line break or another character that no token has"
        )
    return token
