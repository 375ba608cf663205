"""Laws of plans, whatever the items and the bounds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lorchestra.items import Checkpoint, Item, Marker, MarkerResult, Record, Rejected
from lorchestra.json_value import canonical_bytes
from lorchestra.plan_builder import PlanSpec, StoracleOp
from tests.unit.plans import Units, build, keys_of, rows_of, upsert_spec


def table_rows(units: Units, table: str, method: str = "table.upsert") -> list[Mapping[str, Any]]:
    ops = [op for unit in units for op in unit if op.params.get("table") == table and op.method == method]
    return [row for op in ops for row in rows_of(op)]


names = st.sampled_from(["k0", "k1", "k2", "k3"])
row_items = st.builds(
    lambda key, value: Record({"idem_key": key, "value": value}),
    names,
    st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=20)),
)
side_items: st.SearchStrategy[Item] = st.one_of(
    st.builds(lambda key: Rejected(idem_key=key, schema="s", pointer="", rule="r"), names),
    st.builds(
        lambda key: Marker(stage="s", idem_key=key, content_hash="c", code_hash="h", result=MarkerResult.OK), names
    ),
    st.builds(lambda key, cursor: Checkpoint(key=key, cursor=cursor), names, st.integers(0, 99)),
)
group_items = st.builds(
    lambda item, group, method: Record(item.data, method, group),
    row_items,
    st.sampled_from([None, "g", "h"]),
    st.sampled_from([None, "table.upsert", "wal.append", "sql.execute"]),
)
streams: st.SearchStrategy[list[Item]] = st.lists(st.one_of(row_items, side_items, group_items), max_size=40)
specs = st.builds(
    lambda count, size, atomic: upsert_spec(batch_rows=count, batch_bytes=size, atomic=atomic),
    st.integers(1, 7),
    st.integers(1, 400),
    st.booleans(),
)


def is_aside(op: StoracleOp) -> bool:
    return op.params.get("table") in {"quarantine", "_processed"} or op.method == "state.put"


@given(items=streams, spec=specs)
def test_law_the_rows_are_the_records_in_order(items: list[Item], spec: PlanSpec) -> None:
    units = build(items, spec)
    landed = [dict(row) for unit in units for op in unit if not is_aside(op) for row in rows_of(op)]
    assert landed == [item.data for item in items if isinstance(item, Record)]


@given(items=streams, spec=specs)
def test_law_no_op_exceeds_the_bounds_unless_one_row_does(items: list[Item], spec: PlanSpec) -> None:
    for unit in build(items, spec):
        for op in unit:
            rows = rows_of(op)
            assert len(rows) <= spec.batch_rows
            assert len(rows) == 1 or sum(len(canonical_bytes(row)) for row in rows) <= spec.batch_bytes


@given(items=streams, spec=specs)
def test_law_the_same_input_gives_the_same_bytes(items: list[Item], spec: PlanSpec) -> None:
    def encoded() -> bytes:
        return canonical_bytes([op.to_dict() for unit in build(items, spec) for op in unit])

    assert encoded() == encoded()


@given(items=streams, spec=specs)
def test_law_keys_differ_within_a_run_and_between_runs(items: list[Item], spec: PlanSpec) -> None:
    def run_keys(run_id: str) -> list[str]:
        return [op.idempotency_key for unit in build(items, spec, keys_of(run_id=run_id)) for op in unit]

    first, second = run_keys("01RUN"), run_keys("02RUN")
    assert len(set(first)) == len(first)
    assert set(first).isdisjoint(second)


@given(items=streams, spec=specs)
def test_law_a_unit_is_one_op_or_one_group_and_neighbours_have_different_groups(
    items: list[Item], spec: PlanSpec
) -> None:
    units = build(items, spec)
    for unit in units:
        assert [op.group for op in unit] == ([None] if len(unit) == 1 else [unit[0].op_id] * len(unit))
    ids = [op.op_id for unit in units for op in unit]
    assert ids == sorted(set(ids))


@given(items=streams, spec=specs)
def test_law_what_is_set_aside_lands_and_no_sooner_than_the_rows_before_it(items: list[Item], spec: PlanSpec) -> None:
    units = build(items, spec)
    for kind, table in ((Rejected, "quarantine"), (Marker, "_processed")):
        wanted = {item.idem_key for item in items if isinstance(item, kind)}
        assert {row["idem_key"] for row in table_rows(units, table)} == wanted
    well = {item.idem_key for item in items if isinstance(item, Marker) and item.result is not MarkerResult.QUARANTINED}
    assert {row["idem_key"] for row in table_rows(units, "quarantine", "table.delete")} <= well
    last = {item.key: item.cursor for item in items if isinstance(item, Checkpoint)}
    stored: dict[str, Any] = {}
    for unit in units:
        for op in unit:
            if op.method == "state.put":
                assert op.params["expected"] == stored.get(op.params["key"])
                stored[op.params["key"]] = op.params["value"]
    assert stored == last
    landed = 0
    behind = _rows_behind_cursors(items)
    for unit in units:
        landed += sum(len(rows_of(op)) for op in unit if not is_aside(op))
        for op in unit:
            if op.method == "state.put":
                assert min(behind[op.params["key"], op.params["value"]]) <= landed


def _rows_behind_cursors(items: list[Item]) -> dict[tuple[str, Any], list[int]]:
    behind: dict[tuple[str, Any], list[int]] = {}
    count = 0
    for item in items:
        count += isinstance(item, Record)
        if isinstance(item, Checkpoint):
            behind.setdefault((item.key, item.cursor), []).append(count)
    return behind


@given(items=streams, spec=specs)
def test_law_records_of_a_group_are_in_one_unit(items: list[Item], spec: PlanSpec) -> None:
    unit_sizes = [sum(len(rows_of(op)) for op in unit if not is_aside(op)) for unit in build(items, spec)]
    ends = set()
    total = 0
    for size in unit_sizes:
        total += size
        ends.add(total)
    position = 0
    for group, run in groupby([item for item in items if isinstance(item, Record)], key=lambda record: record.group):
        length = len(list(run))
        inside = range(position + 1, position + length)
        assert group is None or not ends.intersection(inside)
        position += length
