"""One op of a plan in the making: where its rows go, how they are shaped, and what its content hashes to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from lorchestra.json_value import JSONObject, canonical_bytes
from lorchestra.plan.keys import PlanKeys
from lorchestra.plan.spec import EVENT_DATASET, PlanSpec
from lorchestra.schemas import StoracleOp

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where records of one method go. `header` is what the rows of an op share; None where each record is an op."""

    method: str
    header: JSONObject | None = None
    key_columns: tuple[str, ...] = ()
    shape: Callable[[JSONObject], Row] = dict


def rows_target(
    method: str, dataset: str, table: str, key_columns: tuple[str, ...], shape: Callable[[JSONObject], Row] = dict
) -> Target:
    header = {"dataset": dataset, "table": table, "key_columns": key_columns}
    return Target(method=method, header=header, key_columns=key_columns, shape=shape)


_QUARANTINE_KEY = ("job_id", "step_id", "idem_key")
QUARANTINE = rows_target("table.upsert", EVENT_DATASET, "quarantine", _QUARANTINE_KEY)
RELEASE = rows_target("table.delete", EVENT_DATASET, "quarantine", _QUARANTINE_KEY)
MARKERS = rows_target("table.upsert", "storacle", "_processed", ("stage", "idem_key"))
CURSOR = Target(method="state.put")


def shape_of(spec: PlanSpec) -> Callable[[JSONObject], Row]:
    """How a record's data becomes a row. The function raises KeyError with the name of a missing field.

    A row is a copy, since a callable may use one dict again and again.
    """
    renames, defaults, fields = spec.field_map, spec.field_defaults, spec.fields
    if not renames and not defaults and fields is None:
        return dict
    renamed = frozenset(renames.values())

    def shape(data: JSONObject) -> Row:
        row = {name: value for name, value in data.items() if name not in renamed}
        row.update((new, data[old]) for new, old in renames.items() if old in data)
        for name, value in defaults.items():
            row.setdefault(name, value)
        return row if fields is None else {name: row[name] for name in fields}

    return shape


class Draft:
    __slots__ = ("_digest", "_rows", "_size", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self._rows: list[Row] = []
        self._size = 0
        self._digest = hashlib.sha256(canonical_bytes([target.method, target.header]))

    def has_room(self, size: int, spec: PlanSpec) -> bool:
        if self.target.header is None:
            return False
        return len(self._rows) < spec.batch_rows and self._size + size <= spec.batch_bytes

    def add(self, row: Row, encoded: bytes) -> None:
        self._rows.append(row)
        self._size += len(encoded)
        # Canonical JSON holds no newline, so the rows cannot run into each other.
        self._digest.update(b"\n" + encoded)

    def op(self, keys: PlanKeys, position: int, group: str | None) -> StoracleOp:
        header = self.target.header
        content_sha256 = self._digest.hexdigest()
        return StoracleOp(
            op_id=keys.op_id(position),
            method=self.target.method,
            params=self._rows[0] if header is None else {**header, "rows": tuple(self._rows)},
            idempotency_key=keys.op_key(position, content_sha256),
            group=group,
            content_sha256=content_sha256,
        )


def add_row(drafts: list[Draft], target: Target, row: Row, encoded: bytes, spec: PlanSpec) -> None:
    """Add a row to the last draft, or to a new one where that has another target or no room."""
    draft = drafts[-1] if drafts else None
    if draft is None or draft.target is not target or not draft.has_room(len(encoded), spec):
        draft = Draft(target)
        drafts.append(draft)
    draft.add(row, encoded)
