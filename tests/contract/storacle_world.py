"""A client of storacle over one of the transports and backings there are, and ops for it to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpResult, RpcClient, RpcMeta, submit_plan
from lorchestra.storacle.codec import Message
from lorchestra.storacle.transports import RecordingTransport, Service, Transport

META = RpcMeta(job_id="j", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2024-01-01T00:00:00Z")
SMOKE = replace(META, namespace="smoke_a")
SECRET = "Jane Doe"
KEY = "jane_doe"
"""A key of what is sent, which may be data too."""

WORLDS = ("memory, in process", "memory, http", "file, in process", "bigquery, in process")


class Plane(Service, Protocol):
    """The service of a world, and what can be asked past it."""

    @property
    def effects(self) -> int:
        """How many ops have been applied, by whomever."""


class World:
    def __init__(self, data: Plane, transport: Transport) -> None:
        self._data = data
        self.recorder = RecordingTransport(transport)
        self.client = RpcClient(self.recorder, page_rows=3)

    def handle(self, message: object) -> Message | None:
        """Ask the service itself."""
        return self._data.handle(message)

    def submit(self, *ops: StoracleOp, meta: RpcMeta = META) -> tuple[OpResult, ...]:
        return submit_plan(plan_of(*ops), meta, client=self.client)

    def fill(self, count: int = 10) -> None:
        rows = ({"k": f"k{number}", "n": number, "odd": bool(number % 2)} for number in range(count))
        self.submit(upsert_op("fill", *rows))

    def read(self, meta: RpcMeta = META, /, **read: Any) -> list[Mapping[str, Any]]:
        return list(self.client.query({"dataset": "raw", "table": "objects", **read}, meta))

    @property
    def effects(self) -> int:
        """How many ops have been applied."""
        return self._data.effects


def plan_of(*ops: StoracleOp) -> StoraclePlan:
    return StoraclePlan(correlation_id="01RUN", ops=ops)


def make_op(name: str, method: str, params: Mapping[str, Any], *, group: str | None = None) -> StoracleOp:
    return StoracleOp(op_id=name, method=method, params=params, idempotency_key=f"key of {name}", group=group)


def rows_params(*rows: object, table: str = "objects", keys: Sequence[str] = ("k",)) -> dict[str, Any]:
    return {"dataset": "raw", "table": table, "key_columns": keys, "rows": rows}


def upsert_op(name: str, *rows: object, group: str | None = None) -> StoracleOp:
    return make_op(name, "table.upsert", rows_params(*rows), group=group)


def append_op(name: str, *rows: object, group: str | None = None) -> StoracleOp:
    return make_op(name, "wal.append", rows_params(*rows), group=group)


def put_op(name: str, value: object, expected: object = None) -> StoracleOp:
    return make_op(name, "state.put", {"key": "cursor", "value": value, "expected": expected})


def assert_op(name: str, method: str, *, group: str | None = None, **params: Any) -> StoracleOp:
    return make_op(name, method, {"dataset": "raw", "table": "objects", **params}, group=group)
