"""What the operator decides about BigQuery."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from lorchestra.errors import ConfigurationError

PROJECT = re.compile(r"[a-z][a-z0-9.:-]{2,62}", re.ASCII)
DATASET = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,199}", re.ASCII)
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}", re.ASCII)
SMOKE_PREFIX = "smoke_"


def _none() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class BigQueryConfig:
    """`datasets` are the ids of datasets in production by their logical names; a name it lacks is the id."""

    project: str
    location: str | None = None
    datasets: Mapping[str, str] = field(default_factory=_none)
    max_bytes_billed: int | None = None
    """No query may read more than this many bytes; one that would is refused before it costs anything."""
    credentials: Callable[[], str] | None = None
    """Gives the JSON of a key when it is needed; without it, the credentials are the machine's own."""
    endpoint: str | None = None
    """Another address of the API; one without TLS is given no credentials."""
    labels: Mapping[str, str] = field(default_factory=_none)
    """Put on every job, beside those that say which run and job it is for."""
    ledger_kept: timedelta = timedelta(days=400)
    """How long an op is recognised that is sent again. Of a ledger that is there already, BigQuery knows it."""
    request_patience_s: float = 120.0
    """How long a request is sent again before the service counts as unavailable."""
    most_attempts: int = 12
    """How often a transaction is tried that other writers get in the way of."""

    def __post_init__(self) -> None:
        if not PROJECT.fullmatch(self.project):
            raise ConfigurationError(f"bigquery.project is '{self.project}'; expected the id of a project")
        for name, dataset in self.datasets.items():
            if not DATASET.fullmatch(dataset) or dataset.startswith(SMOKE_PREFIX):
                raise ConfigurationError(
                    f"bigquery.datasets.{name} is '{dataset}'; expected letters, digits and underscores, and no "
                    f"'{SMOKE_PREFIX}' in front, which is for smoke runs"
                )
        for key, value in self.labels.items():
            if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
                raise ConfigurationError(
                    f"bigquery.labels.{key}: expected small letters, digits, underscores and hyphens, at most 63"
                )
