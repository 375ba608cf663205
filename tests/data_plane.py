"""A storacle of a test's own, over SQLite in memory or in a file, and what the test asks of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from lorchestra.storacle import RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.codec import Message
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.outward.base import OutwardMethod
from lorchestra.storacle.transports import InProcessTransport

_META = RpcMeta(job_id="look", run_id="look", step_id="look", correlation_id="look", ts="2026-01-01T00:00:00+00:00")


class DataPlane:
    """A service, and its reader. Closed when it is used as a context; what is in memory may also be let go."""

    def __init__(self, path: Path | None = None, outward: Mapping[str, OutwardMethod] = MappingProxyType({})) -> None:
        self._backend = SqliteBackend(path)
        self._service = DataService(self._backend, outward)
        self._client = RpcClient(InProcessTransport(self._service))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._backend.close()

    def handle(self, message: object) -> Message | None:
        return self._service.handle(message)

    def rows(self, dataset: str, table: str, *, namespace: str = "prod") -> list[dict[str, Any]]:
        """The rows of a table in the order of their key; none before anybody wrote."""
        found = self._client.query({"dataset": dataset, "table": table}, replace(_META, namespace=namespace))
        return [dict(row) for row in found]

    @property
    def effects(self) -> int:
        """How many ops have been applied, by whomever."""
        return self._backend.effects

    def ops(self) -> list[tuple[str, str, dict[str, int]]]:
        """The ops that have been applied, in order, with their method and counts; not what lorchestra says of runs."""
        ledger = sorted(self.rows("storacle", "_ledger"), key=lambda op: (op["applied_at"], op["op_id"]))
        return [(op["op_id"], op["method"], op["counts"]) for op in ledger if op["method"] != "event.append"]


def rows_in(path: Path, dataset: str, table: str, *, namespace: str = "prod") -> list[dict[str, Any]]:
    """What a file has of a table; nothing when there is no file, and then none is made."""
    if not path.exists():
        return []
    with DataPlane(path) as data:
        return data.rows(dataset, table, namespace=namespace)


def contents(path: Path, *tables: str) -> dict[str, Any]:
    """What a file has of some tables, and which ops had their effect, in order; but not who wrote it, and when.

    Equal for two files when nothing was lost in one of them, and nothing happened twice.
    """
    with DataPlane(path) as data:
        return {
            "ops": data.ops(),
            **{table: [_plain(row) for row in data.rows(*table.split("."))] for table in ("storacle._state", *tables)},
        }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.endswith("_seen") and name != "correlation_id"}
