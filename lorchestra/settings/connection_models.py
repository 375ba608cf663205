"""The connections of a project as they are written, one model for each connector."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints, field_validator

from lorchestra.schemas import RetryPolicy
from lorchestra.schemas.value import Value
from lorchestra.settings.durations import Duration
from lorchestra.settings.secret_ref import SecretRef

if TYPE_CHECKING:
    from lorchestra.connections import config, credentials

_Date = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]

_GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"
# Google's quotas are per minute: six pauses like these outlast one.
_RETRIES = RetryPolicy(max_retries=6, initial_delay_seconds=1.0, max_delay_seconds=32.0)


def plain_url(url: str) -> str:
    """The URL. Raises ValueError, which does not quote it, for what is no plain one."""
    # A password in the URL would be a secret that is not a reference.
    if "@" in url or not url.startswith(("http://", "https://")):
        raise ValueError("found no plain URL; expected 'http://' or 'https://' and a host, without user or password")
    return url


class ServiceAccountSettings(Value):
    """A service account, by its key."""

    kind: Literal["service_account"]
    key: SecretRef = Field(description="Where the JSON of the account's key is kept; never itself.")
    subject: _Text | None = Field(default=None, description="The user it acts for, by domain-wide delegation.")

    def below(self, root: Path) -> ServiceAccountSettings:
        return self.model_copy(update={"key": self.key.below(root)})

    def config(self, environ: Mapping[str, str]) -> credentials.Credentials:
        from lorchestra.connections.credentials import ServiceAccount

        return ServiceAccount(key=partial(self.key.reveal, environ), subject=self.subject)


class RefreshTokenSettings(Value):
    """What a user once granted to a client."""

    kind: Literal["refresh_token"]
    client_id: _Text
    client_secret: SecretRef = Field(description="Where the client's secret is kept; never itself.")
    refresh_token: SecretRef = Field(description="Where the token is kept; never itself.")
    token_url: str = Field(default=_GOOGLE_TOKENS, repr=False, description="Where access tokens are given out.")

    _plain_url = field_validator("token_url")(plain_url)

    def below(self, root: Path) -> RefreshTokenSettings:
        return self.model_copy(
            update={"client_secret": self.client_secret.below(root), "refresh_token": self.refresh_token.below(root)}
        )

    def config(self, environ: Mapping[str, str]) -> credentials.Credentials:
        from lorchestra.connections.credentials import RefreshToken

        return RefreshToken(
            client_id=self.client_id,
            client_secret=partial(self.client_secret.reveal, environ),
            refresh_token=partial(self.refresh_token.reveal, environ),
            token_url=self.token_url,
        )


class MachineCredentials(Value):
    """The credentials that Google's library finds on the machine."""

    kind: Literal["default"] = "default"

    def below(self, root: Path) -> MachineCredentials:
        return self

    def config(self, environ: Mapping[str, str]) -> credentials.Credentials:
        from lorchestra.connections.credentials import MachineDefault

        return MachineDefault()


CredentialsSettings: TypeAlias = Annotated[
    ServiceAccountSettings | RefreshTokenSettings | MachineCredentials, Field(discriminator="kind")
]


class _Google(Value):
    credentials: CredentialsSettings = MachineCredentials()
    begin: _Date | None = Field(default=None, description="The day that the first load begins with; without, all.")
    overlap: Duration = Field(
        default=timedelta(days=1),
        json_schema_extra={"default": "1d"},
        description="What is fetched again before where the last run ended, for what came late.",
    )
    timeout_s: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False)
    retries: RetryPolicy = _RETRIES

    @field_validator("begin")
    @classmethod
    def _is_a_day(cls, text: str | None) -> str | None:
        try:
            date.fromisoformat(text or "2000-01-01")
        except ValueError:
            raise ValueError("found no day; expected one such as '2026-01-31'") from None
        return text

    @property
    def begins_at(self) -> datetime | None:
        return None if self.begin is None else datetime.combine(date.fromisoformat(self.begin), time(), UTC)

    def below(self, root: Path) -> Any:
        return self.model_copy(update={"credentials": self.credentials.below(root)})

    def access(
        self, name: str, environ: Mapping[str, str], *, base_url: str, requests_per_s: float
    ) -> config.HttpAccess:
        from lorchestra.connections.config import HttpAccess

        return HttpAccess(
            connection=name,
            base_url=base_url,
            credentials=self.credentials.config(environ),
            requests_per_s=requests_per_s,
            retry=self.retries,
            timeout_s=self.timeout_s,
        )


class GmailSettings(_Google):
    """A mailbox at Gmail."""

    connector: Literal["gmail"]
    account: _Text = Field(default="me", description="The mailbox; `me` is that of whom the credentials stand for.")
    query: _Text | None = Field(default=None, description="Fetch only what Gmail's search finds for it.")
    include_spam_trash: bool = False
    base_url: str = Field(default="https://gmail.googleapis.com", repr=False, description="Where the interface is.")
    concurrency: int = Field(default=8, ge=1, le=64, description="The most requests at once, if a step has as many.")
    requests_per_s: float = Field(default=40.0, gt=0, le=1000, allow_inf_nan=False)

    _plain_url = field_validator("base_url")(plain_url)

    def config(self, name: str, environ: Mapping[str, str]) -> config.ConnectionConfig:
        from lorchestra.connections.config import Gmail

        return Gmail(
            name=name,
            http=self.access(name, environ, base_url=self.base_url, requests_per_s=self.requests_per_s),
            account=self.account,
            query=self.query,
            include_spam_trash=self.include_spam_trash,
            begin=self.begins_at,
            overlap=self.overlap,
            concurrency=self.concurrency,
        )


class GoogleFormsSettings(_Google):
    """The responses to a Google form."""

    connector: Literal["google_forms"]
    form_id: _Text = Field(description="The id of the form, from its address.")
    account: _Text | None = Field(default=None, description="Whose form it is; for people only.")
    base_url: str = Field(default="https://forms.googleapis.com", repr=False, description="Where the interface is.")
    requests_per_s: float = Field(default=2.5, gt=0, le=1000, allow_inf_nan=False)

    _plain_url = field_validator("base_url")(plain_url)

    def config(self, name: str, environ: Mapping[str, str]) -> config.ConnectionConfig:
        from lorchestra.connections.config import GoogleForms

        return GoogleForms(
            name=name,
            http=self.access(name, environ, base_url=self.base_url, requests_per_s=self.requests_per_s),
            form_id=self.form_id,
            begin=self.begins_at,
            overlap=self.overlap,
        )


class FileSettings(Value):
    """Files with records."""

    connector: Literal["file"]
    path: Path = Field(description="A file, or a pattern such as 'inbox/*.jsonl'.")
    format: Literal["jsonl", "json", "csv", "mbox"] | None = Field(
        default=None, description="What is in the files; without, as their names end."
    )
    source_system: _Text = "file"
    object_type: _Text = "record"
    id_field: _Text | None = Field(
        default=None, description="The field that names a record; without, its content does."
    )

    def below(self, root: Path) -> FileSettings:
        return self.model_copy(update={"path": root / self.path})

    def config(self, name: str, environ: Mapping[str, str]) -> config.ConnectionConfig:
        from lorchestra.connections.config import FileFormat, Files

        return Files(
            name=name,
            path=self.path,
            format=FileFormat(self.format) if self.format else None,
            source_system=self.source_system,
            object_type=self.object_type,
            id_field=self.id_field,
        )


ConnectionSettings: TypeAlias = Annotated[
    GmailSettings | GoogleFormsSettings | FileSettings, Field(discriminator="connector")
]

MODELS: Mapping[str, type[Value]] = {"gmail": GmailSettings, "google_forms": GoogleFormsSettings, "file": FileSettings}
"""The model of each connector."""
