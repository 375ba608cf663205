"""A client of storacle over the BigQuery backend, whose clock goes on by a minute with every unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpResult, RpcClient, RpcMeta
from lorchestra.storacle.backends.bigquery import BigQueryBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.transports import InProcessTransport
from tests.bigquery_plane import backend_for
from tests.standins.bigquery import BigQueryStandIn

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
META = RpcMeta(
    job_id="Visits.daily", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2026-03-01T00:00:00Z"
)


class BigQueryLab:
    """Its run is opened before anything is written."""

    def __init__(
        self, standin: BigQueryStandIn, backend: BigQueryBackend, *, meta: RpcMeta = META, opens_run: bool = True
    ) -> None:
        self.standin = standin
        self.backend = backend
        self.client = RpcClient(InProcessTransport(DataService(backend)), page_rows=2)
        self.meta = replace(meta, token=self.client.open_run(meta)) if opens_run else meta
        self._names = map(str, count())

    def op(self, method: str, rows: Sequence[Any], *, table: str = "raw.raw_objects", **more: Any) -> StoracleOp:
        dataset, _, name = table.partition(".")
        keys = more.pop("keys", ("idem_key",))
        params = {"dataset": dataset, "table": name, "key_columns": keys, "rows": rows}
        return self.any_op(method, params, **more)

    def any_op(self, method: str, params: Mapping[str, Any], *, name: str | None = None, **more: Any) -> StoracleOp:
        name = name or next(self._names)
        return StoracleOp(
            op_id=name,
            method=method,
            params=params,
            idempotency_key=f"{self.meta.run_id} {self.meta.token} {name}",
            **more,
        )

    def submit(self, *ops: StoracleOp) -> tuple[OpResult, ...]:
        return self.client.execute_plan(StoraclePlan(correlation_id="01RUN", ops=ops), self.meta)

    def do(self, method: str, rows: Sequence[Any], **more: Any) -> dict[str, int]:
        """What the op counted, without what it counted none of."""
        (result,) = self.submit(self.op(method, rows, **more))
        return {name: number for name, number in result.counts.items() if number}

    def upsert(self, *rows: Any, **more: Any) -> dict[str, int]:
        return self.do("table.upsert", rows, **more)

    def read(self, table: str = "raw.raw_objects", **read: Any) -> list[dict[str, Any]]:
        dataset, _, name = table.partition(".")
        return [dict(row) for row in self.client.query({"dataset": dataset, "table": name, **read}, self.meta)]

    @property
    def effects(self) -> int:
        return len(self.read("storacle._ledger"))


@contextmanager
def bigquery_lab(**options: Any) -> Iterator[BigQueryLab]:
    minutes = count()
    with BigQueryStandIn() as standin:
        backend = backend_for(standin, now=lambda: START + timedelta(minutes=next(minutes)), **options)
        yield BigQueryLab(standin, backend)
        backend.close()


def visit(key: str = "k1", **says: Any) -> dict[str, Any]:
    return {"idem_key": key, "source_system": "lab", "object_type": "visit", "payload": {"n": 1}, **says}
