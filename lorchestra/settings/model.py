"""The settings of a project as values: the file as it is written, and what holds once it has been read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, field_validator, model_validator

from lorchestra.schemas import RetryPolicy
from lorchestra.schemas.value import Value
from lorchestra.settings.connections import ConnectionName, ConnectionSettings
from lorchestra.settings.durations import Duration
from lorchestra.settings.secret_ref import SecretRef

if TYPE_CHECKING:
    from lorchestra.handlers.llm_config import LlmConfig
    from lorchestra.storacle.backends.bigquery import BigQueryConfig

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]


class RunStoreKind(StrEnum):
    SQLITE = "sqlite"
    MEMORY = "memory"


class StoracleKind(StrEnum):
    SQLITE = "sqlite"
    MEMORY = "memory"
    BIGQUERY = "bigquery"
    HTTP = "http"


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _plain(url: str | None) -> str | None:
    # A password in the URL would be a secret that is not a reference.
    if url is not None and ("@" in url or not url.startswith(("http://", "https://"))):
        raise ValueError("found no plain URL; expected 'http://' or 'https://' and a host, without user or password")
    return url


class RunStoreSettings(Value):
    """Where runs are recorded. A run whose heartbeat is older than `stale_after_s` reads `interrupted`."""

    kind: RunStoreKind = RunStoreKind.SQLITE
    path: Path = Field(default=Path(".lorchestra"), description="The folder of the store.")
    heartbeat_s: Seconds = 5.0
    stale_after_s: Seconds = 30.0
    keep: Duration | None = Field(default=None, description="How long `runs prune` keeps runs, such as '90d'.")


class SheetsSettings(Value):
    """Google Sheets, for `sheets.write_table`. `default` are the credentials that the machine has of its own."""

    credentials: SecretRef | Literal["default"] = Field(
        default="default", description="Where the JSON of a service account's key is kept; never itself."
    )
    base_url: str = Field(default="https://sheets.googleapis.com", repr=False, description="Where the interface is.")

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str | None:
        return _plain(url)


class BigQuerySettings(Value):
    """BigQuery, for `storacle.kind: bigquery`. `default` are the credentials that the machine has of its own."""

    project: str | None = Field(default=None, description="The id of the project that has the datasets and the jobs.")
    location: str | None = Field(default=None, description="Where datasets are made and jobs run, such as 'EU'.")
    datasets: dict[Name, str] = Field(
        default_factory=dict, description="The ids of datasets by the names that jobs have for them."
    )
    max_bytes_billed: int | None = Field(default=None, ge=1, description="The most that one query may be billed for.")
    labels: dict[str, str] = Field(default_factory=dict, description="Put on every job.")
    credentials: SecretRef | Literal["default"] = Field(
        default="default", description="Where the JSON of a service account's key is kept; never itself."
    )
    endpoint: str | None = Field(default=None, repr=False, description="Another address of the interface.")

    @field_validator("endpoint")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return _plain(url)


class StoracleSettings(Value):
    """The data plane: `sqlite` keeps its data in a file, `memory` forgets it with the process, `bigquery` in BigQuery,
    `http` is elsewhere.
    """

    kind: StoracleKind = StoracleKind.SQLITE
    path: Path = Field(default=Path(".lorchestra/data.db"), description="The file of `sqlite`.")
    url: str | None = Field(default=None, repr=False, description="Of `http`, such as 'https://host:8765'.")
    token: SecretRef | None = Field(
        default=None, description="Where the token is kept that `http` wants; never itself."
    )
    roots: dict[Name, Path] = Field(
        default_factory=dict,
        description="The folders that `file.write` and `sqlite.sync` may write below, by name; none without any.",
    )
    sheets: SheetsSettings | None = None
    bigquery: BigQuerySettings = BigQuerySettings()
    ledger_keep: Duration = Field(
        default=timedelta(days=400),
        # pydantic would say it as ISO 8601 does.
        json_schema_extra={"default": "400d"},
        description="How long an op that was sent again is recognised; longer than any run is resumed.",
    )

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return _plain(url)

    def bigquery_config(self, environ: Mapping[str, str]) -> BigQueryConfig:
        """What the backend needs; the key is fetched from the environment or its file when it is used."""
        # Loaded here: Google's library is slow to import, and few projects have it.
        from lorchestra.storacle.backends.bigquery import BigQueryConfig

        chosen = self.bigquery
        assert chosen.project is not None
        return BigQueryConfig(
            project=chosen.project,
            location=chosen.location,
            datasets=chosen.datasets,
            max_bytes_billed=chosen.max_bytes_billed,
            labels=chosen.labels,
            credentials=None if chosen.credentials == "default" else partial(chosen.credentials.reveal, environ),
            endpoint=chosen.endpoint,
            ledger_kept=self.ledger_keep,
        )


class LogSettings(Value):
    format: LogFormat = LogFormat.CONSOLE
    level: LogLevel = LogLevel.INFO


class LlmSection(Value):
    """An OpenAI-compatible service; a profile may hold a part of it."""

    base_url: str | None = Field(default=None, repr=False, description="Such as 'https://host/v1'.")
    api_key: SecretRef | None = Field(default=None, description="Where the key is kept; never the key itself.")
    model: str | None = Field(default=None, min_length=1, description="For steps that name none.")
    timeout_s: Seconds = 120.0
    max_tokens: int = Field(default=4096, ge=1, le=10_000_000, description="The cap of every answer.")
    retries: RetryPolicy = RetryPolicy(max_retries=3, initial_delay_seconds=0.5, max_delay_seconds=20.0)

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return _plain(url)


class LlmSettings(LlmSection):
    base_url: str = Field(repr=False)

    def client_config(self, environ: Mapping[str, str]) -> LlmConfig:
        """What the client needs; the key is fetched from the environment or its file when it is used."""
        # Loaded here: most commands read the settings, few talk to the service.
        from lorchestra.handlers.llm_config import ApiKey, LlmConfig

        key = self.api_key
        return LlmConfig(
            base_url=self.base_url,
            api_key=ApiKey(reference=str(key), reveal=partial(key.reveal, environ)) if key else None,
            model=self.model,
            max_tokens=self.max_tokens,
            retry=self.retries,
            timeout_read_s=self.timeout_s,
        )


class Sections(Value):
    """What a profile and the file itself may say alike."""

    definitions_dir: Path = Path("jobs/definitions")
    pipelines_dir: Path = Path("pipelines")
    callables_dir: Path = Path("callables")
    content_dir: Path = Field(default=Path(), description="The folder of schemas/, transforms/, measures/, sql/.")
    run_store: RunStoreSettings = RunStoreSettings()
    storacle: StoracleSettings = StoracleSettings()
    llm: LlmSection | None = None
    log: LogSettings = LogSettings()


class ProfileSections(Sections):
    """What a profile may say. Of a connection it may say a part; the whole is looked at when the profile is used."""

    connections: dict[ConnectionName, dict[str, Any]] = Field(
        default_factory=dict, description="Changes to connections, or whole ones, by name."
    )


_CONNECTIONS = "Accounts at providers that `injest` fetches from, by name."


class SettingsFile(Sections):
    """`lorchestra.yaml` as it is written."""

    connections: dict[ConnectionName, ConnectionSettings] = Field(default_factory=dict, description=_CONNECTIONS)
    profile: Name | None = Field(default=None, description="The profile to use when none is asked for.")
    profiles: dict[Name, ProfileSections] = Field(
        default_factory=dict, description="Changes to the settings above, by name."
    )


class EffectiveSections(Sections):
    """The sections with profile and environment applied."""

    connections: dict[ConnectionName, ConnectionSettings] = Field(default_factory=dict, description=_CONNECTIONS)
    llm: LlmSettings | None = None

    @model_validator(mode="after")
    def _tells_connections_apart(self) -> Self:
        if len({name.replace("-", "_") for name in self.connections}) < len(self.connections):
            raise ValueError(
                "found two connections whose names differ in '-' and '_' alone; "
                "expected names that variables of the environment can tell apart"
            )
        return self

    @model_validator(mode="after")
    def _survives_late_heartbeat(self) -> Self:
        store = self.run_store
        if store.stale_after_s < 2 * store.heartbeat_s:
            raise ValueError(
                "found run_store.stale_after_s below twice run_store.heartbeat_s; "
                "expected room for a heartbeat that comes late"
            )
        return self

    @model_validator(mode="after")
    def _says_where_storacle_is(self) -> Self:
        if self.storacle.kind is StoracleKind.HTTP and self.storacle.url is None:
            raise ValueError("found storacle.kind http without storacle.url; expected the address of the service")
        if self.storacle.kind is StoracleKind.BIGQUERY and self.storacle.bigquery.project is None:
            raise ValueError("found storacle.kind bigquery without storacle.bigquery.project; expected its id")
        return self


Google = TypeVar("Google", "SheetsSettings | None", BigQuerySettings)


def _below(section: Google, root: Path) -> Google:
    if section is None or section.credentials == "default":
        return section
    return section.model_copy(update={"credentials": section.credentials.below(root)})


class Settings(EffectiveSections):
    """The settings in force. Paths of the sections are absolute, taken from `root`, the folder of the project."""

    root: Path
    profile: str | None = None

    @model_validator(mode="after")
    def _resolve_paths(self) -> Self:
        # The one moment at which the value, not seen by anyone yet, is completed past its own freezing.
        root = self.root.absolute()
        token = self.storacle.token
        roots = {name: root / path for name, path in self.storacle.roots.items()}
        own = (root / self.run_store.path, root / self.storacle.path)
        if any(path.resolve().is_relative_to(folder.resolve()) for path in own for folder in roots.values()):
            raise ValueError("found a folder in storacle.roots that holds lorchestra's own files; expected another one")
        storacle = {
            "path": root / self.storacle.path,
            "token": token.below(root) if token else None,
            "roots": MappingProxyType(roots),
            "sheets": _below(self.storacle.sheets, root),
            "bigquery": _below(self.storacle.bigquery, root),
        }
        complete: dict[str, Any] = {
            "root": root,
            "run_store": self.run_store.model_copy(update={"path": root / self.run_store.path}),
            "storacle": self.storacle.model_copy(update=storacle),
            "connections": MappingProxyType({name: one.below(root) for name, one in self.connections.items()}),
        }
        if self.llm and self.llm.api_key:
            complete["llm"] = self.llm.model_copy(update={"api_key": self.llm.api_key.below(root)})
        for name, value in complete.items():
            object.__setattr__(self, name, value)
        return self

    @property
    def definitions_path(self) -> Path:
        return self.root / self.definitions_dir

    @property
    def pipelines_path(self) -> Path:
        return self.root / self.pipelines_dir

    @property
    def callables_path(self) -> Path:
        return self.root / self.callables_dir

    @property
    def content_path(self) -> Path:
        return self.root / self.content_dir

    @property
    def sql_path(self) -> Path:
        return self.content_path / "sql"
