"""The quarantine: records that could not be processed, and how they are asked for once more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from lorchestra.json_value import JSONObject, sha256
from lorchestra.plan.spec import EVENT_DATASET
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle.protocol import RpcMeta, StoracleClient

REPLAYED = "quarantine.replayed"

_TABLE = "quarantine"
_KEY = ("job_id", "step_id", "idem_key")
_MARKERS: JSONObject = {"dataset": "storacle", "table": "_processed"}
_MARKER_KEY = ("stage", "idem_key")
_BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A record that a step rejected: by what it failed, since when, and the run that said so last."""

    idem_key: str
    job_id: str
    step_id: str
    schema: str | None
    pointer: str | None
    rule: str | None
    first_seen: str | None
    last_seen: str | None
    run_id: str | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    records: int
    markers: int


class Quarantine:
    """That of one namespace; `meta` says who asks."""

    def __init__(self, client: StoracleClient, meta: RpcMeta) -> None:
        self._client = client
        self._meta = meta

    def find(
        self, *, job_id: str | None = None, rule: str | None = None, keys: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[Quarantined]:
        """Those that fulfil all that is asked for, the latest first."""
        asked: dict[str, Any] = {"job_id": job_id, "rule": rule}
        where: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        if keys:
            where["idem_key"] = {"in": list(keys)}
        read: dict[str, Any] = {"dataset": EVENT_DATASET, "table": _TABLE, "where": where, "order_by": ["-last_seen"]}
        if limit is not None:
            read["limit"] = limit
        for row in self._client.query(read, self._meta):
            said = {name: row[name] for name in Quarantined.__slots__ if name != "run_id"}
            yield Quarantined(**said, run_id=row["correlation_id"])

    def stages(self, idem_key: str) -> tuple[str, ...]:
        """The stages that have set the record aside, and do not take it up again by themselves."""
        return tuple(marker["stage"] for marker in self._markers([idem_key]))

    def replay(self, records: Iterable[Quarantined], *, run_id: str, at: datetime) -> Replayed:
        """Take the records out of the quarantine, and forget that stages are done with them. Their next runs take
        them up; what they reject once more is in the quarantine once more.
        """
        meta = replace(self._meta, run_id=run_id, correlation_id=run_id, step_id="replay", ts=at.isoformat())
        chosen = list(records)
        markers = 0
        if chosen:
            meta = replace(meta, token=self._client.open_run(meta))
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            found = list(self._markers(sorted({record.idem_key for record in batch})))
            self._client.execute_plan(_plan(batch, found, meta, start), meta)
            markers += len(found)
        return Replayed(records=len(chosen), markers=markers)

    def _markers(self, keys: list[str]) -> Iterator[dict[str, Any]]:
        where: JSONObject = {"idem_key": {"in": keys}, "result": "quarantined"}
        for row in self._client.query({**_MARKERS, "where": where}, self._meta):
            yield {name: row[name] for name in _MARKER_KEY}


def _plan(
    records: Sequence[Quarantined], markers: Sequence[dict[str, Any]], meta: RpcMeta, position: int
) -> StoraclePlan:
    """All of it or nothing: without its row nobody sees a record that no stage takes up."""
    rows = [{name: getattr(record, name) for name in _KEY} for record in records]
    name = f"{meta.run_id}:{position}"
    event: dict[str, Any] = {
        "idem_key": name,
        "event_id": name,
        "event_type": REPLAYED,
        "source_system": meta.caller,
        "status": "ok",
        "run_id": meta.run_id,
        "created_at": meta.ts,
        "payload": {"records": len(rows), "markers": len(markers)},
    }
    ops: list[tuple[str, JSONObject]] = [
        ("table.delete", {**_MARKERS, "key_columns": _MARKER_KEY, "rows": list(markers)}),
        ("table.delete", {"dataset": EVENT_DATASET, "table": _TABLE, "key_columns": _KEY, "rows": rows}),
        (
            "event.append",
            {"dataset": EVENT_DATASET, "table": "event_log", "key_columns": ("idem_key",), "rows": [event]},
        ),
    ]
    return StoraclePlan(
        correlation_id=meta.run_id,
        ops=tuple(
            StoracleOp(
                op_id=f"replay-{position + number:06d}",
                method=method,
                params=params,
                idempotency_key=sha256([name, number]),
                group=f"replay-{position:06d}",
            )
            for number, (method, params) in enumerate(ops, start=1)
            if params["rows"]
        ),
    )
