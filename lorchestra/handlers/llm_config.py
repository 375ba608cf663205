"""Which LLM service to use, and within what limits."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lorchestra.errors import ConfigurationError
from lorchestra.schemas import RetryPolicy

NO_LLM_SERVICE = (
    "'compute.llm' needs an LLM service, and none is configured; "
    "add an `llm:` section (base_url, model, api_key) to lorchestra.yaml"
)

_RETRY = RetryPolicy(max_retries=3, initial_delay_seconds=0.5, max_delay_seconds=20.0)

# What a header value may hold without being refused, quoted and all, further down.
_VISIBLE = frozenset(string.ascii_letters + string.digits + string.punctuation)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key by its reference (`env:NAME`, `file:path`), which may be shown; the key itself is fetched at each use."""

    reference: str
    reveal: Callable[[], str] = field(repr=False)

    def checked(self) -> str:
        key = self.reveal()
        if not key or not _VISIBLE.issuperset(key):
            raise ConfigurationError(
                f"llm.api_key ({self.reference}) is empty, or holds a space, a line break or another character "
                "that no key has"
            )
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmConfig:
    """An OpenAI-compatible service. `max_tokens` caps every answer; `wait_max_s` is the longest pause taken here."""

    base_url: str = field(repr=False)
    api_key: ApiKey | None = None
    model: str | None = None
    max_tokens: int = 4096
    retry: RetryPolicy = _RETRY
    wait_max_s: float = 60.0
    timeout_connect_s: float = 10.0
    timeout_read_s: float = 120.0
    response_max_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        if not _is_plain_url(self.base_url):
            # Not quoted: a URL that is wrong may be wrong because it holds a password.
            raise ConfigurationError(
                "llm.base_url must look like 'https://host/v1', without user, password, query or fragment"
            )
        if self.max_tokens < 1:
            raise ConfigurationError("llm.max_tokens must be at least 1")

    @property
    def completions_url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"


def _is_plain_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and not parts.query
        and not parts.fragment
        and _VISIBLE.issuperset(url)
    )
