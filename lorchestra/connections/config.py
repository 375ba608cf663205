"""What is known of a connection, one class for each connector."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from lorchestra.connections.credentials import Credentials, RefreshToken
from lorchestra.errors import ConfigurationError
from lorchestra.schemas import RetryPolicy
from lorchestra.storacle.http_address import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAccess:
    """How to reach a provider. `wait_max_s` is the longest pause taken here; a longer one is left to the step."""

    connection: str
    base_url: str = field(repr=False)
    credentials: Credentials
    requests_per_s: float
    retry: RetryPolicy
    timeout_s: float = 30.0
    wait_max_s: float = 120.0
    response_max_bytes: int = 128 * 1024 * 1024

    def __post_init__(self) -> None:
        _require_private(self.base_url, f"connections.{self.connection}.base_url")
        if isinstance(self.credentials, RefreshToken):
            _require_private(self.credentials.token_url, f"connections.{self.connection}.credentials.token_url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gmail:
    """A mailbox. `begin` is where its first load begins, `overlap` what is fetched again before the cursor."""

    name: str
    http: HttpAccess
    account: str = "me"
    query: str | None = None
    include_spam_trash: bool = False
    begin: datetime | None = None
    overlap: timedelta
    concurrency: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleForms:
    """The responses to a form."""

    name: str
    http: HttpAccess
    form_id: str
    begin: datetime | None = None
    overlap: timedelta


class FileFormat(StrEnum):
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    MBOX = "mbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files below the project or by their full path; the last part of `path` may be a pattern."""

    name: str
    path: Path
    format: FileFormat | None = None
    source_system: str = "file"
    object_type: str = "record"
    id_field: str | None = None


ConnectionConfig: TypeAlias = Gmail | GoogleForms | Files


def _require_private(url: str, setting: str) -> None:
    # Not quoted in either: what is wrong in it may be a password.
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        is_plain = parts.port != 0 and "@" not in parts.netloc and not parts.query and not parts.fragment
    except ValueError:
        is_plain = False
    if not is_plain or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{setting} must look like 'https://host', without user, password, query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(f"{setting} must begin with 'https://', except for this machine")
