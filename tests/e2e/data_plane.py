"""What the jobs of a project have written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lorchestra.storacle import RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.transports import InProcessTransport

_META = RpcMeta(job_id="look", run_id="look", step_id="look", correlation_id="look", ts="2026-01-01T00:00:00+00:00")


def data_rows(root: Path, dataset: str, table: str, *, namespace: str = "prod") -> list[dict[str, Any]]:
    """The rows of a table in the order of their key; none before anybody wrote."""
    path = root / ".lorchestra" / "data.db"
    if not path.exists():
        return []
    backend = SqliteBackend(path)
    try:
        client = RpcClient(InProcessTransport(DataService(backend)))
        found = client.query({"dataset": dataset, "table": table}, replace(_META, namespace=namespace))
        return [dict(row) for row in found]
    finally:
        backend.close()
