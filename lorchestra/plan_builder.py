"""Items become the ops of a plan: pure, lazy, and the same bytes each time.

Rows are batched, up to a number of rows or bytes. Rejections, markers and checkpoints travel in an atomic group with
the batch they close, after its rows: the quarantine, then the markers, then the cursors. So a marker or a cursor
lands with what it speaks of or after it, never before. A marker that says that all went well takes its record out of
the quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from lorchestra.errors import PlanError, Problem, did_you_mean
from lorchestra.items import Checkpoint, Item, Marker, MarkerResult, Record, Rejected, as_item
from lorchestra.json_value import JSONObject, JSONValue, canonical_bytes, empty
from lorchestra.plan.draft import (
    CURSOR,
    MARKERS,
    QUARANTINE,
    RELEASE,
    Draft,
    Row,
    Target,
    add_row,
    rows_target,
    shape_of,
)
from lorchestra.plan.keys import PlanKeys
from lorchestra.plan.spec import (
    ALIASES,
    DEFAULT_BATCH_BYTES,
    DEFAULT_BATCH_ROWS,
    EVENT_DATASET,
    EVENT_TABLE,
    METHODS,
    ROW_METHODS,
    PlanSpec,
)
from lorchestra.schemas import StoracleOp, StoraclePlan

__all__ = ["PlanKeys", "PlanSpec", "StoracleOp", "StoraclePlan", "build_plan_from_items", "plan_ops"]

_JSON_ONLY = "items hold JSON values only, and integers of at most 64 bits"


def plan_ops(items: Iterable[Item], spec: PlanSpec, keys: PlanKeys) -> Iterator[tuple[StoracleOp, ...]]:
    """What is to be sent together, in order: a plain op alone, or all ops of an atomic group.

    Holds one batch at a time, or one group where the spec or the records ask for groups, and the last cursor of each
    checkpoint's key. Raises PlanError for an item that cannot be planned as the spec asks.
    """
    return _Builder(spec, keys).build(items)


def build_plan_from_items(
    items: Iterable[Item | JSONObject],
    correlation_id: str,
    method: str = "wal.append",
    fields: Iterable[str] | None = None,
    field_map: Mapping[str, str] | None = None,
    field_defaults: Mapping[str, JSONValue] | None = None,
    *,
    dataset: str | None = EVENT_DATASET,
    table: str | None = EVENT_TABLE,
    key_columns: Iterable[str] | None = None,
    batch_rows: int = DEFAULT_BATCH_ROWS,
    batch_bytes: int = DEFAULT_BATCH_BYTES,
    atomic: bool = False,
    keys: PlanKeys | None = None,
) -> StoraclePlan:
    """The whole plan at once. Without `keys`, the keys of its ops derive from the correlation id and the content.

    First `field_map` (new: old) renames, then `field_defaults` fill what is missing, then `fields` is an allow-list,
    and a missing allowed field is a PlanError.
    """
    spec = PlanSpec(
        method=method,
        dataset=dataset,
        table=table,
        key_columns=None if key_columns is None else tuple(key_columns),
        fields=None if fields is None else tuple(fields),
        field_map=field_map or empty(),
        field_defaults=field_defaults or empty(),
        batch_rows=batch_rows,
        batch_bytes=batch_bytes,
        atomic=atomic,
    )
    keys = keys or PlanKeys(run_id=correlation_id, job_id="", step_id="plan")
    units = plan_ops(map(as_item, items), spec, keys)
    return StoraclePlan(correlation_id=correlation_id, ops=tuple(op for unit in units for op in unit))


class _Unit:
    """What will be sent together.

    Of several rejections or markers of one record, and several cursors of one key, the last one stands: together
    they have the effect of the last, and so a key occurs once in an op.
    """

    __slots__ = ("count", "cursors", "drafts", "group", "markers", "quarantine", "size")

    def __init__(self) -> None:
        self.group: str | None = None
        self.count = 0
        self.size = 0
        self.drafts: list[Draft] = []
        self.quarantine: dict[str, tuple[Row, bytes]] = {}
        self.markers: dict[tuple[str, str], tuple[Row, bytes]] = {}
        self.cursors: dict[str, Row] = {}

    def fits_group(self, size: int, spec: PlanSpec) -> bool:
        return self.count < spec.atomic_rows_max and self.size + size <= spec.atomic_bytes_max


class _Builder:
    def __init__(self, spec: PlanSpec, keys: PlanKeys) -> None:
        self._spec = spec
        self._keys = keys
        self._targets: dict[str | None, Target] = {}
        self._unit = _Unit()
        self._ops = 0
        self._stored: dict[str, JSONValue] = {}
        # A group that was sent because of all that followed its records; another record of it would come too late.
        self._sent_group: str | None = None

    def build(self, items: Iterable[Item]) -> Iterator[tuple[StoracleOp, ...]]:
        for position, item in enumerate(items, start=1):
            if isinstance(item, Record):
                target = self._targets.get(item.method) or self._find_target(item, position)
                row, encoded = self._row(item, target, position)
                if self._ends_before_record(item, target, len(encoded), position):
                    yield self._take()
                unit = self._unit
                unit.group = item.group
                add_row(unit.drafts, target, row, encoded, self._spec)
            else:
                row, encoded = self._side_row(item, position)
                if self._ends_before_side_row(len(encoded), position):
                    yield self._take()
                unit = self._unit
                _set_aside(unit, item, row, encoded)
            unit.count += 1
            unit.size += len(encoded)
            if self._is_full(unit):
                yield self._take()
        if self._unit.count:
            yield self._take()

    def _find_target(self, record: Record, position: int) -> Target:
        spec = self._spec
        method = spec.method if record.method is None else ALIASES.get(record.method, record.method)
        if method not in METHODS:
            hint = did_you_mean(method, METHODS)
            raise _error(record, position, "asks for a method that no plan has", "a method of storacle", hint=hint)
        # `field_map`, `field_defaults` and `fields` speak of the plan's own method.
        shape = shape_of(spec) if method == spec.method else dict
        target = Target(method=method, shape=shape)
        if method in ROW_METHODS:
            dataset, table = spec.target(method)
            key_columns = spec.keys_of(method)
            if not dataset or not table or key_columns is None:
                expected = "a step with such items gives 'dataset', 'table' and 'key_columns'"
                raise _error(record, position, f"is a row for {method}", expected)
            target = rows_target(method, dataset, table, key_columns, shape)
        self._targets[record.method] = target
        return target

    def _row(self, record: Record, target: Target, position: int) -> tuple[Row, bytes]:
        try:
            row = target.shape(record.data)
            encoded = canonical_bytes(row)
        except KeyError as missing:
            name = missing.args[0] if missing.args else None
            if name not in (self._spec.fields or ()):
                # Not from the shape: a mapping of the callable's said so, in words that may be data.
                raise _error(record, position, "is not a JSON object", _JSON_ONLY) from None
            found = f"has no field {self._spec.quoted(name)}"
            raise _error(record, position, found, "'fields' asks for it", path="fields") from None
        except (TypeError, ValueError, AttributeError):
            raise _error(record, position, "is not a JSON object", _JSON_ONLY) from None
        for column in target.key_columns:
            if row.get(column) is None:
                expected = f"{target.method} needs every key column in every row"
                found = f"has no value in {self._spec.quoted(column)}"
                raise _error(record, position, found, expected, path="key_columns")
        return row, encoded

    def _side_row(self, item: Rejected | Marker | Checkpoint, position: int) -> tuple[Row, bytes]:
        row: Row
        match item:
            case Rejected():
                row = {"job_id": self._keys.job_id, "step_id": self._keys.step_id}
                row.update((name, getattr(item, name)) for name in item.__slots__)
            case Marker():
                row = {name: getattr(item, name) for name in item.__slots__}
            case Checkpoint():
                row = {"key": item.key, "value": item.cursor, "expected": item.expected}
                if item.never_back:
                    row["never_back"] = True
            case _:
                assert_never(item)
        try:
            return row, canonical_bytes(row)
        except TypeError:
            raise _error(
                None, position, f"is a {type(item).__name__} with another value than JSON has", _JSON_ONLY
            ) from None

    # Where a unit ends

    def _ends_before_record(self, record: Record, target: Target, size: int, position: int) -> bool:
        unit, spec = self._unit, self._spec
        if record.group is not None and record.group == self._sent_group:
            raise _too_large(record, position, spec)
        self._sent_group = None
        if not unit.count:
            return False
        if spec.atomic or (record.group is not None and record.group == unit.group):
            if not unit.fits_group(size, spec):
                raise _too_large(record, position, spec)
            return False
        if record.group is not None or unit.group is not None:
            return True
        other_target = bool(unit.drafts) and unit.drafts[0].target is not target
        return other_target or target.header is None or unit.size + size > spec.batch_bytes

    def _ends_before_side_row(self, size: int, position: int) -> bool:
        unit, spec = self._unit, self._spec
        if spec.atomic:
            if not unit.fits_group(size, spec):
                raise _too_large(None, position, spec)
            return False
        if unit.group is None:
            return unit.count > 0 and unit.size + size > spec.batch_bytes
        if unit.fits_group(size, spec):
            return False
        self._sent_group = unit.group
        return True

    def _is_full(self, unit: _Unit) -> bool:
        spec = self._spec
        if spec.atomic or unit.group is not None:
            return False
        if unit.count >= spec.batch_rows or unit.size >= spec.batch_bytes:
            return True
        return bool(unit.drafts) and unit.drafts[0].target.header is None

    # Units become ops

    def _take(self) -> tuple[StoracleOp, ...]:
        unit, self._unit = self._unit, _Unit()
        drafts = unit.drafts
        for row, encoded in unit.quarantine.values():
            add_row(drafts, QUARANTINE, row, encoded, self._spec)
        for row in self._released(unit):
            add_row(drafts, RELEASE, row, canonical_bytes(row), self._spec)
        for row, encoded in unit.markers.values():
            add_row(drafts, MARKERS, row, encoded, self._spec)
        for key, row in unit.cursors.items():
            # What an earlier unit stored is what is there now, so a stream may have any number of checkpoints of a
            # key, wherever its batches end.
            row["expected"] = self._stored.get(key, row["expected"])
            self._stored[key] = row["value"]
            add_row(drafts, CURSOR, row, canonical_bytes(row), self._spec)
        first = self._ops + 1
        self._ops += len(drafts)
        group = self._keys.op_id(first) if len(drafts) > 1 else None
        return tuple(draft.op(self._keys, position, group) for position, draft in enumerate(drafts, start=first))

    def _released(self, unit: _Unit) -> Iterator[Row]:
        """What the quarantine has of the records that went well. Whether it has any, a plan cannot know."""
        for row, _ in unit.markers.values():
            if row["result"] != MarkerResult.QUARANTINED and row["idem_key"] not in unit.quarantine:
                yield {"job_id": self._keys.job_id, "step_id": self._keys.step_id, "idem_key": row["idem_key"]}


def _set_aside(unit: _Unit, item: Rejected | Marker | Checkpoint, row: Row, encoded: bytes) -> None:
    match item:
        case Rejected():
            unit.quarantine[item.idem_key] = row, encoded
        case Marker():
            unit.markers[item.stage, item.idem_key] = row, encoded
        case Checkpoint():
            first = unit.cursors.get(item.key, row)
            unit.cursors[item.key] = {**row, "expected": first["expected"]}
        case _:
            assert_never(item)


def _error(
    record: Record | None,
    position: int,
    found: str,
    expected: str,
    *,
    path: str | None = None,
    hint: str | None = None,
) -> PlanError:
    key = record.data.get("idem_key") if record is not None and isinstance(record.data, Mapping) else None
    name = f"item '{key}'" if isinstance(key, str) else f"item {position}"
    where = () if path is None else (path,)
    return PlanError(Problem(found=f"{name} {found}", expected=expected, path=where, hint=hint))


def _too_large(record: Record | None, position: int, spec: PlanSpec) -> PlanError:
    return _error(
        record,
        position,
        "does not fit into its atomic group",
        "a group is applied as one and held in memory whole, so it ends at "
        f"{spec.atomic_rows_max:,} items or {spec.atomic_bytes_max:,} bytes; use smaller groups, or no 'atomic'",
    )
