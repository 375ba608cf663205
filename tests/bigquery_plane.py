"""A storacle of a test's own over BigQuery, with Google's own client, and a stand-in at the other end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from google.cloud.bigquery import DEFAULT_RETRY

from lorchestra.storacle.backends.bigquery import BigQueryBackend, BigQueryConfig
from lorchestra.storacle.codec import Message
from lorchestra.storacle.data_service import DataService
from tests.standins.bigquery import BigQueryStandIn

QUICK = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.02)


def backend_for(standin: BigQueryStandIn, **options: Any) -> BigQueryBackend:
    """One that waits no longer than it has to, and whose windows are as small as the pages of a test."""
    config = {name: options.pop(name) for name in list(options) if name in BigQueryConfig.__dataclass_fields__}
    made = BigQueryConfig(project=standin.project, endpoint=standin.url, **config)
    return BigQueryBackend(made, **{"retry": QUICK, "window_rows": 3, "sleep": _no_wait, **options})


class BigQueryPlane:
    """A service. What is at the other end goes with it."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), **options: Any) -> None:
        self.standin = BigQueryStandIn()
        self.standin.__enter__()
        self.backend = backend_for(self.standin, now=now, **options)
        self._service = DataService(self.backend)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.close()
        self.standin.__exit__(None, None, None)

    def handle(self, message: object) -> Message | None:
        return self._service.handle(message)

    @property
    def effects(self) -> int:
        """How many ops have been applied, by whomever."""
        schemas = "SELECT table_schema FROM information_schema.tables WHERE table_name = '_ledger'"
        return sum(
            int(self.standin.rows(f'SELECT count(*) FROM "{schema}"._ledger')[0][0])
            for (schema,) in self.standin.rows(schemas)
        )


def _no_wait(_: float) -> None: ...
