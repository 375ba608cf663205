from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from lorchestra.errors import PermanentError, PlanError
from lorchestra.items import Checkpoint, Item, MarkerResult, Record
from lorchestra.json_value import canonical_bytes
from lorchestra.plan import spec as plan_spec
from lorchestra.plan_builder import PlanSpec, build_plan_from_items, plan_ops
from tests.unit.plans import KEYS, Units, build, marker, records, rejected, row, upsert_spec


def data_rows(units: Units, table: str = "objects") -> list[Mapping[str, Any]]:
    return [row for unit in units for op in unit if op.params.get("table") == table for row in op.params["rows"]]


def shape(units: Units) -> list[list[tuple[str, int]]]:
    """Of each unit, the table (or method) of each op and how many rows it has."""
    return [[(op.params.get("table", op.method), len(op.params.get("rows", [0]))) for op in unit] for unit in units]


def message(items: list[Item], spec: PlanSpec | None = None) -> str:
    with pytest.raises(PlanError) as caught:
        build(items, spec)
    return str(caught.value)


# Batches


def test_rows_are_batched_by_count() -> None:
    assert shape(build(records(5), upsert_spec(batch_rows=2))) == [[("objects", 2)], [("objects", 2)], [("objects", 1)]]


def test_rows_are_batched_by_bytes() -> None:
    size = len(canonical_bytes(row(0)))
    assert shape(build(records(5), upsert_spec(batch_bytes=2 * size))) == [
        [("objects", 2)],
        [("objects", 2)],
        [("objects", 1)],
    ]


def test_a_row_larger_than_a_batch_goes_alone() -> None:
    items: list[Item] = [Record(row(0)), Record(row(1, text="x" * 500)), Record(row(2))]
    assert shape(build(items, upsert_spec(batch_bytes=100))) == [[("objects", 1)]] * 3


def test_an_empty_stream_is_an_empty_plan() -> None:
    assert build([]) == []


def test_a_plain_op_has_no_group_and_says_where_its_rows_go() -> None:
    ((op,),) = build(records(1))
    assert op.to_dict() == {
        "op_id": "persist-000001",
        "method": "table.upsert",
        "params": {
            "dataset": "canonical",
            "table": "objects",
            "key_columns": ("idem_key",),
            "rows": ({"idem_key": "k0"},),
        },
        "idempotency_key": op.idempotency_key,
        "content_sha256": op.content_sha256,
    }


def test_a_full_batch_is_handed_on_before_the_next_item_is_pulled() -> None:
    pulled: list[int] = []

    def stream() -> Iterator[Item]:
        for number in range(5):
            pulled.append(number)
            yield Record(row(number))

    units = plan_ops(stream(), upsert_spec(batch_rows=2), KEYS)
    assert pulled == []
    next(units)
    assert pulled == [0, 1]


def test_one_dict_yielded_again_and_again_gives_different_rows() -> None:
    reused: dict[str, Any] = {}

    def stream() -> Iterator[Item]:
        for number in range(3):
            reused["idem_key"] = f"k{number}"
            yield Record(reused)

    (unit,) = plan_ops(stream(), upsert_spec(), KEYS)
    assert data_rows([unit]) == [row(0), row(1), row(2)]


def test_frozen_rows_become_plain_rows() -> None:
    frozen: Any = MappingProxyType({"idem_key": "k", "nested": MappingProxyType({"a": (1, 2)})})
    plain: Any = {"idem_key": "k", "nested": {"a": [1, 2]}}
    ((one,),), ((other,),) = build([Record(frozen)]), build([Record(plain)])
    assert one.idempotency_key == other.idempotency_key
    assert type(one.params["rows"][0]) is dict


# What closes a batch


def test_rejections_markers_and_cursors_land_with_their_rows_in_that_order() -> None:
    items: list[Item] = [
        Checkpoint(key="c", cursor=1, expected=0),
        marker(0),
        rejected(1),
        marker(1, MarkerResult.QUARANTINED),
        Record(row(0)),
    ]
    (unit,) = build(items)
    assert [op.method for op in unit] == ["table.upsert", "table.upsert", "table.delete", "table.upsert", "state.put"]
    assert len({op.group for op in unit}) == 1
    assert unit[0].group == "persist-000001"
    quarantine, released, markers, cursor = unit[1:]
    assert quarantine.params == {
        "dataset": "events",
        "table": "quarantine",
        "key_columns": ("job_id", "step_id", "idem_key"),
        "rows": (
            {
                "job_id": "canonize",
                "step_id": "persist",
                "idem_key": "k1",
                "schema": "iglu:a",
                "pointer": "/a",
                "rule": "type",
            },
        ),
    }
    assert released.params == {
        "dataset": "events",
        "table": "quarantine",
        "key_columns": ("job_id", "step_id", "idem_key"),
        "rows": ({"job_id": "canonize", "step_id": "persist", "idem_key": "k0"},),
    }
    assert markers.params == {
        "dataset": "storacle",
        "table": "_processed",
        "key_columns": ("stage", "idem_key"),
        "rows": (
            {"stage": "s", "idem_key": "k0", "content_hash": "c", "code_hash": "h", "result": "ok"},
            {"stage": "s", "idem_key": "k1", "content_hash": "c", "code_hash": "h", "result": "quarantined"},
        ),
    }
    assert cursor.params == {"key": "c", "value": 1, "expected": 0}


def test_a_stream_of_rejections_alone_is_batched() -> None:
    units = build([rejected(number) for number in range(5)], upsert_spec(batch_rows=2))
    assert shape(units) == [[("quarantine", 2)], [("quarantine", 2)], [("quarantine", 1)]]


def test_rejections_count_toward_the_bytes_of_a_batch() -> None:
    units = build([rejected(number) for number in range(4)], upsert_spec(batch_bytes=150))
    assert shape(units) == [[("quarantine", 1)]] * 4


def test_markers_count_toward_the_rows_of_a_batch() -> None:
    items: list[Item] = [item for number in range(3) for item in (Record(row(number)), marker(number))]
    assert shape(build(items, upsert_spec(batch_rows=4))) == [
        [("objects", 2), ("quarantine", 2), ("_processed", 2)],
        [("objects", 1), ("quarantine", 1), ("_processed", 1)],
    ]


def test_what_trails_the_last_row_is_planned() -> None:
    items: list[Item] = [*records(2), rejected(7), Checkpoint(key="c", cursor="x")]
    assert shape(build(items, upsert_spec(batch_rows=2))) == [
        [("objects", 2)],
        [("quarantine", 1), ("state.put", 1)],
    ]


def test_the_last_marker_and_the_last_rejection_of_a_record_stand() -> None:
    items: list[Item] = [
        rejected(1, "type"),
        rejected(1, "enum"),
        marker(1),
        marker(1, MarkerResult.EMPTY),
    ]
    ((quarantine, markers),) = build(items)
    assert [row["rule"] for row in quarantine.params["rows"]] == ["enum"]
    assert [row["result"] for row in markers.params["rows"]] == ["empty"]


def test_record_that_is_rejected_stays_in_quarantine_whatever_its_marker_says() -> None:
    ((quarantine, markers),) = build([rejected(1), marker(1)])
    assert (quarantine.method, markers.params["table"]) == ("table.upsert", "_processed")


@pytest.mark.parametrize("chained", [True, False], ids=["expecting the one before", "expecting the first"])
@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_the_cursors_of_a_key_follow_each_other_wherever_the_batches_end(chained: bool, batch_rows: int) -> None:
    items: list[Item] = []
    for number in range(1, 8):
        items.append(Record(row(number)))
        items.append(Checkpoint(key="c", cursor=number, expected=number - 1 if chained else 0))
    stored: Any = 0
    for unit in build(items, upsert_spec(batch_rows=batch_rows)):
        for op in unit:
            if op.method == "state.put":
                assert op.params["expected"] == stored
                stored = op.params["value"]
    assert stored == 7


def test_cursors_of_different_keys_stay_apart() -> None:
    items: list[Item] = [Checkpoint(key="a", cursor=1), Checkpoint(key="b", cursor=2), Checkpoint(key="a", cursor=3)]
    (unit,) = build(items)
    assert [(op.params["key"], op.params["value"]) for op in unit] == [("a", 3), ("b", 2)]


# Methods of records


def test_a_record_may_ask_for_another_method_and_order_is_kept() -> None:
    items: list[Item] = [
        Record(row(0)),
        Record(row(1), method="table.delete"),
        Record(row(2), method="table.delete"),
        Record(row(3)),
    ]
    units = build(items)
    assert [(op.method, [row["idem_key"] for row in op.params["rows"]]) for (op,) in units] == [
        ("table.upsert", ["k0"]),
        ("table.delete", ["k1", "k2"]),
        ("table.upsert", ["k3"]),
    ]


@pytest.mark.parametrize("method", sorted(plan_spec.SINGLE_METHODS))
def test_a_single_method_is_one_op_a_record_with_the_record_as_params(method: str) -> None:
    units = build([Record({"a": 1}), Record({"b": 2})], PlanSpec(method=method))
    assert [(op.method, op.params, op.group) for (op,) in units] == [
        (method, {"a": 1}, None),
        (method, {"b": 2}, None),
    ]


@pytest.mark.parametrize(("alias", "method"), [("bq.upsert", "table.upsert"), ("bq.execute", "sql.execute")])
def test_older_names_of_methods_are_accepted(alias: str, method: str) -> None:
    ((of_record,),) = build([Record(row(0), method=alias)])
    ((of_spec,),) = build(records(1), upsert_spec(method=alias))
    assert of_record.method == of_spec.method == method


def test_mapping_is_for_records_of_the_plans_own_method() -> None:
    spec = upsert_spec(field_map={"idem_key": "id"}, fields=("idem_key",))
    items: list[Item] = [Record({"id": "a", "b": 1}), Record({"id": "x"}, method="sql.execute")]
    (rows,), (single,) = build(items, spec)
    assert rows.params["rows"] == ({"idem_key": "a"},)
    assert single.params == {"id": "x"}


def test_events_beside_rows_go_to_the_event_log_with_a_key_of_their_own() -> None:
    spec = upsert_spec(key_columns=("other",))
    ((op,),) = build([Record(row(1), method="event.append")], spec)
    assert (op.params["dataset"], op.params["table"], op.params["key_columns"]) == (
        "events",
        "event_log",
        ("idem_key",),
    )


def test_a_record_with_an_unknown_method_is_an_error_with_a_hint_that_shows_nothing_of_it() -> None:
    text = message([Record(row(1), method="table.upsrt")])
    assert "item 'k1' asks for a method that no plan has" in text
    assert "did you mean 'table.upsert'?" in text
    assert "upsrt" not in text


@pytest.mark.parametrize("method", ["table.upsert", "table.insert"])
def test_a_row_without_a_place_to_go_is_an_error(method: str) -> None:
    assert "gives 'dataset', 'table' and 'key_columns'" in message(
        [Record(row(1), method=method)], PlanSpec(method="sql.execute")
    )


# Keys of rows


@pytest.mark.parametrize("method", sorted(plan_spec.APPEND_METHODS))
def test_appended_rows_are_told_apart_by_their_idem_key_unless_the_step_says_otherwise(method: str) -> None:
    spec = PlanSpec(method=method, dataset="d", table="t")
    ((op,),) = build(records(1), spec)
    assert op.params["key_columns"] == ("idem_key",)
    assert "item 1 has no value in 'idem_key'" in message([Record({"secret": "v"})], spec)


@pytest.mark.parametrize("data", [{"idem_key": "k9", "secret": "v"}, {"idem_key": "k9", "secret": "v", "a": None}])
@pytest.mark.parametrize("method", sorted(plan_spec.ROW_METHODS))
def test_a_row_without_its_key_is_an_error_that_names_it_and_shows_no_value(method: str, data: dict[str, Any]) -> None:
    spec = PlanSpec(method=method, dataset="d", table="t", key_columns=("idem_key", "a"))
    with pytest.raises(PlanError) as caught:
        build([Record(data)], spec)
    (problem,) = caught.value.problems
    assert problem.found == "item 'k9' has no value in 'a'"
    assert problem.path == ("key_columns",)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [0, False, ""])
def test_a_key_may_be_any_value_but_null(value: int | str) -> None:
    ((op,),) = build([Record({"idem_key": value})])
    assert op.params["rows"] == ({"idem_key": value},)


@pytest.mark.parametrize("data", [{"a": object()}, {"a": 1 << 70}, {1: 2}, ["x"], "text", None, 7])
def test_what_is_no_json_object_is_an_error(data: Any) -> None:
    assert message([Record(data)]).startswith("item 1 is not a JSON object")


def test_a_cursor_that_is_no_json_is_an_error() -> None:
    cursor: Any = object()
    assert "item 1 is a Checkpoint with another value than JSON has" in message([Checkpoint(key="c", cursor=cursor)])


# Atomic groups


def grouped(number: int, group: str | None, method: str | None = None) -> Record:
    return Record(row(number), method=method, group=group)


def test_records_in_a_row_with_one_group_are_sent_as_one() -> None:
    items: list[Item] = [
        grouped(0, None),
        grouped(1, "a", "assert.unique"),
        grouped(2, "a"),
        grouped(3, "b"),
        grouped(4, "b", "assert.rows"),
        grouped(5, None),
    ]
    units = build(items)
    assert [[op.method for op in unit] for unit in units] == [
        ["table.upsert"],
        ["assert.unique", "table.upsert"],
        ["table.upsert", "assert.rows"],
        ["table.upsert"],
    ]
    assert [[op.group for op in unit] for unit in units] == [
        [None],
        ["persist-000002"] * 2,
        ["persist-000004"] * 2,
        [None],
    ]


def test_a_group_is_not_split_at_the_end_of_a_batch_but_its_ops_keep_the_bounds() -> None:
    units = build([grouped(number, "g") for number in range(5)], upsert_spec(batch_rows=2))
    assert shape(units) == [[("objects", 2), ("objects", 2), ("objects", 1)]]


def test_what_follows_a_group_joins_it_and_does_not_end_it() -> None:
    items: list[Item] = [grouped(0, "g"), marker(0), rejected(1), grouped(2, "g"), Checkpoint(key="c", cursor=1)]
    assert shape(build([*items, grouped(3, None)])) == [
        [("objects", 2), ("quarantine", 1), ("quarantine", 1), ("_processed", 1), ("state.put", 1)],
        [("objects", 1)],
    ]


def test_a_group_of_one_row_is_a_plain_op() -> None:
    ((op,),) = build([grouped(0, "g")])
    assert op.group is None


def test_a_group_does_not_take_in_what_came_before_it() -> None:
    assert shape(build([rejected(0), grouped(1, "g")])) == [[("quarantine", 1)], [("objects", 1)]]


def test_an_atomic_plan_is_one_group_whatever_the_bounds_and_the_methods() -> None:
    items: list[Item] = [
        *records(3),
        grouped(3, "g", "sql.execute"),
        grouped(4, "h"),
        rejected(5),
        rejected(6),
        rejected(7),
    ]
    (unit,) = build(items, upsert_spec(batch_rows=2, atomic=True))
    assert shape([unit]) == [
        [("objects", 2), ("objects", 1), ("sql.execute", 1), ("objects", 1), ("quarantine", 2), ("quarantine", 1)]
    ]
    assert {op.group for op in unit} == {"persist-000001"}


def test_a_group_beyond_its_end_is_an_error_that_says_so() -> None:
    stream = (Record({"idem_key": "k"}, group="g") for _ in range(plan_spec.ATOMIC_ROWS_MAX + 1))
    with pytest.raises(PlanError, match=r"ends at 100,000 items or 67,108,864 bytes; use smaller"):
        list(plan_ops(stream, upsert_spec(), KEYS))


@pytest.mark.parametrize("last", [Record(row(4)), rejected(4), marker(4)], ids=["record", "rejected", "marker"])
@pytest.mark.parametrize("limit", [{"atomic_rows_max": 3}, {"atomic_bytes_max": 50}])
def test_an_atomic_plan_beyond_its_end_is_an_error(last: Item, limit: dict[str, int]) -> None:
    assert "does not fit into its atomic group" in message([*records(3), last], upsert_spec(atomic=True, **limit))


def test_any_number_of_rejections_may_follow_a_group() -> None:
    items: list[Item] = [grouped(0, "g"), *(rejected(number) for number in range(1, 9))]
    assert shape(build(items, upsert_spec(batch_rows=4, atomic_rows_max=3))) == [
        [("objects", 1), ("quarantine", 2)],
        [("quarantine", 4)],
        [("quarantine", 2)],
    ]


def test_a_group_that_was_sent_is_not_continued() -> None:
    spec = upsert_spec(atomic_rows_max=3)
    items: list[Item] = [grouped(0, "g"), *(rejected(number) for number in range(1, 6))]
    assert "item 'k7' does not fit into its atomic group" in message([*items, grouped(7, "g")], spec)
    assert len(build([*items, grouped(7, "h")], spec)) == 3


# The eager form


def test_a_plan_is_built_from_plain_objects_as_other_programs_do() -> None:
    plan = build_plan_from_items([{"idem_key": "a"}, Record({"idem_key": "b"})], "corr-1")
    assert (plan.kind, plan.version, plan.correlation_id) == ("storacle.plan", "1.0", "corr-1")
    (op,) = plan.ops
    assert (op.op_id, op.method) == ("plan-000001", "wal.append")
    assert op.params["rows"] == ({"idem_key": "a"}, {"idem_key": "b"})


def test_keys_of_a_plan_without_a_run_derive_from_correlation_id_and_content() -> None:
    def key(correlation_id: str, *items: Mapping[str, Any]) -> str:
        return build_plan_from_items(items, correlation_id).ops[0].idempotency_key

    assert key("c", row(1)) == key("c", row(1))
    assert len({key("c", row(1)), key("d", row(1)), key("c", row(2))}) == 3


def test_given_keys_are_used() -> None:
    (op,) = build_plan_from_items([row(1)], "c", keys=KEYS, key_columns=["idem_key"], atomic=True).ops
    assert op.op_id == "persist-000001"


MAPPINGS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"field_map": {"idem_key": "id"}}, {"id": "a", "b": 1}, {"b": 1, "idem_key": "a"}),
    ({"field_map": {"a": "b", "b": "a"}}, {"idem_key": "k", "a": 1, "b": 2}, {"idem_key": "k", "a": 2, "b": 1}),
    ({"field_map": {"x": "a", "y": "a"}}, {"idem_key": "k", "a": 1}, {"idem_key": "k", "x": 1, "y": 1}),
    ({"field_map": {"x": "missing"}}, {"idem_key": "k"}, {"idem_key": "k"}),
    ({"field_defaults": {"a": 1}}, {"idem_key": "k"}, {"idem_key": "k", "a": 1}),
    ({"field_defaults": {"a": 1}}, {"idem_key": "k", "a": None}, {"idem_key": "k", "a": None}),
    ({"fields": ["idem_key"]}, {"idem_key": "k", "a": 1}, {"idem_key": "k"}),
    ({"fields": ["b", "idem_key"]}, {"idem_key": "k", "b": 1}, {"b": 1, "idem_key": "k"}),
    (
        {"field_map": {"x": "a"}, "field_defaults": {"x": 0, "y": 2}, "fields": ["idem_key", "x", "y"]},
        {"idem_key": "k", "a": 1, "z": 9},
        {"idem_key": "k", "x": 1, "y": 2},
    ),
    ({"field_map": {"x": "a"}, "field_defaults": {"x": 0}}, {"idem_key": "k"}, {"idem_key": "k", "x": 0}),
]


@pytest.mark.parametrize(("mapping", "item", "expected"), MAPPINGS)
def test_fields_are_renamed_then_filled_then_chosen(
    mapping: dict[str, Any], item: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = dict(item)
    (op,) = build_plan_from_items([item], "c", **mapping).ops
    assert op.params["rows"] == (expected,)
    assert item == before


def test_a_missing_allowed_field_is_an_error_that_names_item_and_field() -> None:
    with pytest.raises(PlanError) as caught:
        build_plan_from_items([{"idem_key": "k1", "secret": "v"}], "c", fields=["idem_key", "b"])
    assert str(caught.value) == "/fields: item 'k1' has no field 'b'; 'fields' asks for it"


def test_an_item_that_is_no_object_is_refused() -> None:
    wrong: Any = [3]
    with pytest.raises(PermanentError, match="items are JSON objects"):
        build_plan_from_items(wrong, "c")


@pytest.mark.parametrize("method", ["event.append", "wal.append"])
def test_a_log_without_a_place_to_go_is_the_event_log(method: str) -> None:
    ((op,),) = plan_ops([Record(row(1))], PlanSpec(method=method), KEYS)
    assert (op.params["dataset"], op.params["table"]) == ("events", "event_log")
