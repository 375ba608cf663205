"""Small items, specs and keys, and plans built from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lorchestra.items import Item, Marker, MarkerResult, Record, Rejected
from lorchestra.plan_builder import PlanKeys, PlanSpec, StoracleOp, plan_ops
from lorchestra.schemas import IdempotencyConfig
from lorchestra.schemas.job_def import IdempotencyScope

Units = list[tuple[StoracleOp, ...]]

KEYS = PlanKeys(run_id="01RUN", job_id="canonize", step_id="persist")


def upsert_spec(**changes: Any) -> PlanSpec:
    values = {"method": "table.upsert", "dataset": "canonical", "table": "objects", "key_columns": ("idem_key",)}
    return PlanSpec(**{**values, **changes})


def keys_of(scope: str = "run", *, include_payload_hash: bool = False, **changes: Any) -> PlanKeys:
    config = IdempotencyConfig(scope=IdempotencyScope(scope), include_payload_hash=include_payload_hash)
    values = {"run_id": "01RUN", "job_id": "j", "step_id": "s", "semantic_key": "k", "config": config}
    return PlanKeys(**{**values, **changes})


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"idem_key": f"k{number}", **more}


def records(count: int) -> list[Item]:
    return [Record(row(number)) for number in range(count)]


def marker(number: int, result: MarkerResult = MarkerResult.OK) -> Marker:
    return Marker(stage="s", idem_key=f"k{number}", content_hash="c", code_hash="h", result=result)


def rejected(number: int, rule: str = "type") -> Rejected:
    return Rejected(idem_key=f"k{number}", schema="iglu:a", pointer="/a", rule=rule)


def build(items: Iterable[Item], spec: PlanSpec | None = None, keys: PlanKeys = KEYS) -> Units:
    return list(plan_ops(items, spec or upsert_spec(), keys))


def rows_of(op: StoracleOp) -> tuple[Mapping[str, Any], ...]:
    """The rows of an op, or its params where it has none."""
    rows: tuple[Mapping[str, Any], ...] = op.params.get("rows", (op.params,))
    return rows
