"""Events: rows of the event log, appended through storacle like any other row."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from lorchestra.clock import SystemClock, new_run_id
from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.json_value import JSONObject
from lorchestra.plan.spec import EVENT_DATASET, EVENT_TABLE
from lorchestra.plan_builder import build_plan_from_items
from lorchestra.storacle.protocol import OpResult, RpcMeta, StoracleClient

__all__ = ["Inserter", "StoracleInserter", "emit", "log_event"]

DATASET_VARIABLE = "BQ_EVENTS_DATASET"
TABLE_VARIABLE = "BQ_EVENTS_TABLE"


def log_event(
    client: StoracleClient,
    meta: RpcMeta,
    *,
    event_type: str,
    source_system: str = "lorchestra",
    status: str = "ok",
    object_type: str | None = None,
    target_object_type: str | None = None,
    error_message: str | None = None,
    payload: JSONObject | None = None,
    event_id: str | None = None,
    at: datetime | None = None,
) -> OpResult:
    """Append one event. The same `event_id` again is the same event; without one, each call is another event.

    What is passed is data and goes to the event log alone. `meta` has the token of its run: to open the run here would
    fence off whoever works for it. Raises what the client raises.
    """
    at = at or SystemClock().now()
    event_id = event_id or new_run_id(at)
    row = {
        "idem_key": event_id,
        "event_id": event_id,
        "event_type": event_type,
        "source_system": source_system,
        "object_type": object_type,
        "target_object_type": target_object_type,
        "status": status,
        "job_id": meta.job_id,
        "run_id": meta.run_id,
        "trace_id": meta.correlation_id,
        "error_message": error_message,
        "created_at": at.isoformat(),
        "payload": payload,
    }
    return _append(client, meta, EVENT_DATASET, EVENT_TABLE, row)


class Inserter(Protocol):
    def insert_rows_json(self, table: str, json_rows: list[dict[str, Any]]) -> list[Any]:
        """Add rows to `dataset.table`; what is wrong with them, and nothing when all are there."""


class StoracleInserter:
    """Gives jobs that were written for BigQuery's client the insert call they know, and goes through storacle."""

    def __init__(self, client: StoracleClient, meta: RpcMeta) -> None:
        """`meta` says for whom; the rows are those of a run of their own."""
        self._client = client
        self._meta = replace(meta, run_id=f"{meta.run_id}:inserted", token=None)

    def insert_rows_json(self, table: str, json_rows: list[dict[str, Any]]) -> list[Any]:
        """Rows without an `idem_key` are given one, so each call adds them anew."""
        dataset, _, name = table.rpartition(".")
        dataset = dataset.rpartition(".")[2]
        if self._meta.token is None:
            self._meta = replace(self._meta, token=self._client.open_run(self._meta))
        for row in json_rows:
            key = row.get("idem_key") or new_run_id(SystemClock().now())
            _append(self._client, self._meta, dataset, name, {**row, "idem_key": key})
        return []


def emit(
    *,
    bq_client: Inserter,
    event_type: str,
    source: str,
    data: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
) -> None:
    """Insert one event with these three fields into the table that the environment names."""
    environ = os.environ if environ is None else environ
    names = [environ.get(variable) for variable in (DATASET_VARIABLE, TABLE_VARIABLE)]
    if not all(names):
        missing = [v for v, name in zip((DATASET_VARIABLE, TABLE_VARIABLE), names, strict=True) if not name]
        raise ConfigurationError(f"{' and '.join(missing)} not set; they name the dataset and table that events go to")
    row = {"event_type": event_type, "source": source, "data": dict(data)}
    if problems := bq_client.insert_rows_json(".".join(map(str, names)), [row]):
        # Without what it says of them, which may quote the data.
        raise PermanentError(f"the event was not inserted: {len(problems)} problem(s)")


def _append(client: StoracleClient, meta: RpcMeta, dataset: str, table: str, row: dict[str, Any]) -> OpResult:
    plan = build_plan_from_items(
        [row], f"{meta.run_id}:{row['idem_key']}", "event.append", dataset=dataset, table=table
    )
    [result] = client.execute_plan(plan, meta)
    return result
