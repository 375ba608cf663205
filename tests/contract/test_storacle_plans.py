"""What becomes of the ops of a plan, over every transport and backing there is."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from lorchestra.errors import PermanentError
from lorchestra.items import Checkpoint, Item, Marker, MarkerResult, Record, Rejected
from lorchestra.plan_builder import PlanKeys, PlanSpec, plan_ops
from lorchestra.storacle import OpResult, OpStatus, PlanRefused
from lorchestra.storacle.error_codes import ErrorCode
from tests.contract.storacle_world import (
    META,
    SECRET,
    SMOKE,
    World,
    append_op,
    assert_op,
    make_op,
    put_op,
    rows_params,
    upsert_op,
)

# Upserts, appends, deletes


def test_upsert_counts_what_it_inserted_updated_and_left(world: World) -> None:
    world.submit(upsert_op("a", {"k": "x", "v": 1}, {"k": "y", "v": 1}))
    [result] = world.submit(upsert_op("b", {"k": "x", "v": 2}, {"k": "y", "v": 1}, {"k": "z", "v": 1}))
    assert result == OpResult(
        op_id="b",
        method="table.upsert",
        status=OpStatus.APPLIED,
        counts={"inserted": 1, "updated": 1, "unchanged": 1},
    )
    assert world.read() == [{"k": "x", "v": 2}, {"k": "y", "v": 1}, {"k": "z", "v": 1}]


def test_upsert_leaves_the_columns_it_does_not_name(world: World) -> None:
    world.submit(upsert_op("a", {"k": "x", "v": 1, "status": None}))
    [result] = world.submit(upsert_op("b", {"k": "x", "status": "pass"}))
    assert result.counts["updated"] == 1
    assert world.read() == [{"k": "x", "v": 1, "status": "pass"}]


def test_bq_upsert_is_another_name_of_table_upsert(world: World) -> None:
    world.submit(make_op("a", "bq.upsert", rows_params({"k": 1})))
    assert world.read() == [{"k": 1}]


@pytest.mark.parametrize("method", ["wal.append", "event.append", "table.insert"])
def test_append_of_the_same_row_is_left_and_of_another_with_its_key_refused(world: World, method: str) -> None:
    world.submit(make_op("a", method, rows_params({"k": "x", "v": 1})))
    [same] = world.submit(make_op("b", method, rows_params({"v": 1, "k": "x"}, {"k": "y", "v": 1})))
    assert same.counts == {"inserted": 1, "unchanged": 1}
    with pytest.raises(PlanRefused) as caught:
        world.submit(make_op("c", method, rows_params({"k": "z"}, {"k": "x", "v": SECRET})))
    assert caught.value.code == ErrorCode.CONFLICT
    assert "/plan/ops/0/params/rows/1" in caught.value.reason
    assert SECRET not in str(caught.value)
    assert [row["k"] for row in world.read()] == ["x", "y"]


def test_delete_counts_what_it_deleted_and_what_was_absent(world: World) -> None:
    world.submit(upsert_op("a", {"k": "x", "v": 1}, {"k": "y", "v": 1}))
    [result] = world.submit(make_op("b", "table.delete", rows_params({"k": "x"}, {"k": "q"})))
    assert result.counts == {"deleted": 1, "absent": 1}
    assert world.read() == [{"k": "y", "v": 1}]


def test_caller_that_changes_a_row_afterwards_changes_nothing_stored(world: World) -> None:
    row = {"k": "x", "tags": ["a"]}
    world.submit(upsert_op("a", row))
    row["tags"].append("b")  # type: ignore[attr-defined]  # the values of the row are of several types
    first = world.read()[0]
    first["tags"].append("c")
    assert world.read() == [{"k": "x", "tags": ["a"]}]


def test_keys_of_several_columns_and_kinds_are_told_apart_and_ordered(world: World) -> None:
    keys = [(True, "a"), (1, "a"), (2.5, "a"), ("1", "a"), ("1", "b"), (False, "z")]
    world.submit(make_op("a", "table.upsert", rows_params(*({"k": k, "l": x} for k, x in keys), keys=("k", "l"))))
    assert [(row["k"], row["l"]) for row in world.read()] == [
        (False, "z"),
        (True, "a"),
        (1, "a"),
        (2.5, "a"),
        ("1", "a"),
        ("1", "b"),
    ]


# Resends


def test_same_plan_again_has_no_second_effect(world: World) -> None:
    ops = (upsert_op("a", {"k": "x", "v": 1}), append_op("b", {"k": "y"}), put_op("c", 5))
    first = world.submit(*ops)
    world.submit(upsert_op("between", {"k": "x", "v": 2}))
    again = world.submit(*ops)
    assert [one.status for one in again] == [OpStatus.ALREADY] * 3
    assert [one.counts for one in again] == [one.counts for one in first]
    assert world.effects == 4
    assert world.read()[0] == {"k": "x", "v": 2}


def test_other_op_with_the_same_rows_lands(world: World) -> None:
    for name, value in (("a", "A"), ("b", "B"), ("c", "A")):
        world.submit(upsert_op(name, {"k": "x", "v": value}))
    assert world.read() == [{"k": "x", "v": "A"}]


def test_resend_of_asserts_that_no_longer_hold_is_recognised(world: World) -> None:
    ops = (assert_op("free", "assert.rows", count=0, group="g"), append_op("add", {"k": "x"}, group="g"))
    world.submit(*ops)
    assert [one.status for one in world.submit(*ops)] == [OpStatus.ALREADY] * 2


def test_same_key_twice_in_a_plan_has_one_effect(world: World) -> None:
    one = append_op("a", {"k": "x"}, group="g")
    results = world.submit(one, replace(one, op_id="b"))
    assert [result.status for result in results] == [OpStatus.APPLIED, OpStatus.ALREADY]
    assert world.effects == 1


def test_what_the_plan_builder_makes_of_a_stream_lands_with_its_markers_quarantine_and_cursor(world: World) -> None:
    items: list[Item] = [
        *(Record({"k": number}) for number in range(3)),
        Marker(stage="s", idem_key="x", content_hash="c", code_hash="h", result=MarkerResult.OK),
        Rejected(idem_key="y", schema="iglu:a", pointer="/a", rule="type"),
        Checkpoint(key="cursor", cursor={"page": 2}, expected=None),
    ]
    spec = PlanSpec(method="table.upsert", dataset="raw", table="objects", key_columns=("k",), batch_rows=4)
    keys = PlanKeys(run_id="01RUN", job_id="j", step_id="s")
    units = list(plan_ops(items, spec, keys))
    for again in (False, True):
        results = [result for unit in units for result in world.submit(*unit)]
        assert {one.status for one in results} == {OpStatus.ALREADY if again else OpStatus.APPLIED}
    assert [row["k"] for row in world.read()] == [0, 1, 2]
    assert [row["idem_key"] for row in world.read(dataset="storacle", table="_processed")] == ["x"]
    assert [row["idem_key"] for row in world.read(dataset="events", table="quarantine")] == ["y"]
    assert [row["value"] for row in world.read(dataset="storacle", table="_state")] == [{"page": 2}]


# Refusals


def test_refused_op_stops_the_plan_there_and_the_error_says_what_stays(world: World) -> None:
    with pytest.raises(PlanRefused) as caught:
        world.submit(
            upsert_op("a", {"k": "x"}), assert_op("b", "assert.exists", where={"k": SECRET}), upsert_op("c", {"k": "y"})
        )
    refused = caught.value
    assert (refused.op_id, refused.method, refused.code) == ("b", "assert.exists", ErrorCode.ASSERTION_FAILED)
    assert [one.op_id for one in refused.applied] == ["a"]
    assert "ops before it that stay applied: 1" in str(refused)
    assert SECRET not in str(refused)
    assert world.read() == [{"k": "x"}]


@pytest.mark.parametrize("method", ["file.write", "sqlite.sync", "sheets.write_table", "nope"])
def test_method_the_service_does_not_have_is_refused_by_name(world: World, method: str) -> None:
    with pytest.raises(PlanRefused, match=rf"'a' \({method}\).*method_not_found"):
        world.submit(make_op("a", method, {}))


def test_group_whose_ops_stand_apart_is_refused_before_anything_is_done(world: World) -> None:
    ops = (upsert_op("a", {"k": 1}, group="g"), upsert_op("b", {"k": 2}), upsert_op("c", {"k": 3}, group="g"))
    with pytest.raises(PermanentError, match=r"invalid_params, at /plan/ops/2/group"):
        world.submit(*ops)
    assert world.read() == []


def test_atomic_group_lands_whole_or_not_at_all(world: World) -> None:
    world.submit(upsert_op("before", {"k": "x", "v": 0}), put_op("cursor", 1))
    effects = world.effects
    with pytest.raises(PlanRefused) as caught:
        world.submit(
            upsert_op("alone", {"k": "w"}),
            upsert_op("a", {"k": "x", "v": 9}, {"k": "new"}, group="g"),
            replace(put_op("b", 2, 1), group="g"),
            make_op("c", "table.delete", rows_params({"k": "w"}), group="g"),
            upsert_op("d", {"k": "other"}, "no row", group="g"),
            upsert_op("e", {"k": "late"}),
        )
    assert caught.value.op_id == "d"
    assert [one.op_id for one in caught.value.applied] == ["alone"]
    assert world.read() == [{"k": "w"}, {"k": "x", "v": 0}]
    assert world.read(dataset="storacle", table="_state") == [{"key": "cursor", "value": 1}]
    assert world.effects == effects + 1


def test_refused_group_can_land_once_what_it_asserts_holds(world: World) -> None:
    group = (append_op("a", {"k": "x"}, group="g"), assert_op("b", "assert.rows", min=2, group="g"))
    with pytest.raises(PlanRefused):
        world.submit(*group)
    world.submit(append_op("other", {"k": "y"}))
    assert [one.status for one in world.submit(*group)] == [OpStatus.APPLIED] * 2


def test_table_that_a_refused_op_would_have_made_has_no_key_yet(world: World) -> None:
    with pytest.raises(PlanRefused):
        world.submit(upsert_op("a", {"k": "x"}, {"no": "key"}))
    world.submit(upsert_op("empty"))
    world.submit(make_op("b", "table.upsert", rows_params({"id": 1}, keys=("id",))))
    assert world.read() == [{"id": 1}]


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({}, "dataset"),
        ("text", "params"),
        (rows_params({"k": 1}) | {"extra": 1}, "*"),
        (rows_params({"k": 1}) | {"dataset": "raw; drop"}, "dataset"),
        (rows_params({"k": 1}) | {"table": 5}, "table"),
        (rows_params({"k": 1}, keys=()), "key_columns"),
        (rows_params({"k": 1}, keys=("k", "k")), "key_columns"),
        (rows_params({"k": 1}) | {"rows": "text"}, "rows"),
        (rows_params({"k": 1}) | {"rows": {"k": 1}}, "rows"),
        (rows_params({"k": 1}, 5), "rows/1"),
        (rows_params({"k": 1}, {"v": SECRET}), "rows/1/*"),
        (rows_params({"k": None}), "rows/0/*"),
        (rows_params({"k": [1]}), "rows/0/*"),
        (rows_params({"k": 1, "not a name": 1}), "rows/0"),
        (rows_params({"k": 1, "_op": 1}), "rows/0"),
        (rows_params({"k": 1, "_content_hash": "x"}), "rows/0"),
    ],
)
def test_wrong_params_are_refused_with_their_place(world: World, params: Any, place: str) -> None:
    with pytest.raises(PlanRefused) as caught:
        world.submit(make_op("a", "table.upsert", params))
    assert caught.value.code == ErrorCode.INVALID_PARAMS
    assert caught.value.reason.endswith(f"params/{place})" if place != "params" else "/plan/ops/0/params)")
    assert SECRET not in str(caught.value)


def test_other_key_columns_than_the_table_has_are_refused(world: World) -> None:
    world.submit(upsert_op("a", {"k": 1}))
    with pytest.raises(PlanRefused, match="params/key_columns"):
        world.submit(make_op("b", "table.upsert", rows_params({"v": 1}, keys=("v",))))


def test_plan_with_an_op_id_twice_is_refused_whole(world: World) -> None:
    with pytest.raises(PermanentError, match="/plan/ops/1/op_id"):
        world.submit(upsert_op("a", {"k": 1}), upsert_op("a", {"k": 2}))
    assert world.read() == []


# Compare and set


def test_cursor_is_set_when_the_stored_one_is_expected(world: World) -> None:
    assert world.submit(put_op("a", {"page": 1}))[0].counts == {"stored": 1, "unchanged": 0, "kept": 0}
    assert world.submit(put_op("b", {"page": 2}, {"page": 1}))[0].counts["stored"] == 1
    assert world.read(dataset="storacle", table="_state", where={"key": "cursor"}) == [
        {"key": "cursor", "value": {"page": 2}}
    ]


def test_cursor_is_not_set_when_another_is_stored(world: World) -> None:
    world.submit(put_op("a", SECRET))
    with pytest.raises(PlanRefused, match="expected") as caught:
        world.submit(put_op("b", 2, 1))
    assert caught.value.code == ErrorCode.CONFLICT
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "value", "becomes"),
    [
        (None, 5, ("stored", 5)),
        (5, 3, ("kept", 5)),
        (5, 5, ("unchanged", 5)),
        (5, 9, ("stored", 9)),
        ("2026-02-01", "2026-01-01", ("kept", "2026-02-01")),
        ("2026-02-01", "2026-03-01", ("stored", "2026-03-01")),
    ],
)
def test_cursor_of_a_backfill_never_goes_back(world: World, stored: object, value: object, becomes: Any) -> None:
    if stored is not None:
        world.submit(put_op("a", stored))
    params = {"key": "cursor", "value": value, "expected": "something else", "never_back": True}
    [result] = world.submit(make_op("b", "state.put", params))
    kept = {row["key"]: row["value"] for row in world.read(dataset="storacle", table="_state")}
    assert ([name for name, count in result.counts.items() if count], kept) == ([becomes[0]], {"cursor": becomes[1]})


@pytest.mark.parametrize(("stored", "value"), [(5, "a"), ({"page": 1}, 3)])
def test_cursor_of_a_backfill_does_not_replace_one_it_cannot_be_compared_with(
    world: World, stored: object, value: object
) -> None:
    world.submit(put_op("a", stored))
    with pytest.raises(PlanRefused, match="conflict"):
        world.submit(make_op("b", "state.put", {"key": "cursor", "value": value, "never_back": True}))


def test_cursor_without_an_order_cannot_be_held_to_it(world: World) -> None:
    with pytest.raises(PlanRefused, match=r"invalid_params, at /plan/ops/0/params/value"):
        world.submit(make_op("b", "state.put", {"key": "cursor", "value": {"page": 1}, "never_back": True}))


def test_storing_what_is_stored_changes_nothing(world: World) -> None:
    world.submit(put_op("a", 5))
    assert world.submit(put_op("b", 5, 3))[0].counts == {"stored": 0, "unchanged": 1, "kept": 0}


def test_cursors_are_written_by_state_put_alone(world: World) -> None:
    row = {"key": "cursor", "value": 9}
    params = {"dataset": "storacle", "table": "_state", "key_columns": ["key"], "rows": [row]}
    with pytest.raises(PlanRefused, match="forbidden"):
        world.submit(make_op("a", "table.upsert", params))


# Assertions


@pytest.mark.parametrize(
    ("method", "params", "holds"),
    [
        ("assert.rows", {"count": 10}, True),
        ("assert.rows", {"count": 9}, False),
        ("assert.rows", {"min": 5, "where": {"odd": True}}, True),
        ("assert.rows", {"min": 6, "where": {"odd": True}}, False),
        ("assert.rows", {"max": 5, "where": {"odd": True}}, True),
        ("assert.rows", {"min": 1, "max": 4, "where": {"odd": True}}, False),
        ("assert.rows", {"count": 0, "table": "absent"}, True),
        ("assert.exists", {"where": {"k": "k3"}}, True),
        ("assert.exists", {"where": {"k": "k33"}}, False),
        ("assert.unique", {"columns": ["n"]}, True),
        ("assert.unique", {"columns": ["odd"]}, False),
        ("assert.unique", {"columns": ["odd"], "where": {"n": {"lt": 2}}}, True),
        ("assert.unique", {"columns": ["absent"]}, True),
    ],
)
def test_assertion_holds_or_is_refused(world: World, method: str, params: dict[str, Any], holds: bool) -> None:
    world.fill()
    op = assert_op("check", method, **params)
    if holds:
        assert world.submit(op)[0].status is OpStatus.APPLIED
        return
    with pytest.raises(PlanRefused) as caught:
        world.submit(op)
    assert caught.value.code == ErrorCode.ASSERTION_FAILED


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("assert.rows", {}),
        ("assert.rows", {"count": 1, "min": 1}),
        ("assert.rows", {"count": -1}),
        ("assert.rows", {"count": True}),
        ("assert.exists", {}),
        ("assert.exists", {"where": 5}),
        ("assert.unique", {}),
        ("assert.unique", {"columns": []}),
    ],
)
def test_assertion_that_makes_no_sense_is_refused_as_such(world: World, method: str, params: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused) as caught:
        world.submit(assert_op("check", method, **params))
    assert caught.value.code == ErrorCode.INVALID_PARAMS


# Fencing and namespaces


def test_worker_whose_run_was_opened_anew_may_write_no_more(world: World) -> None:
    old = replace(META, token=world.client.open_run(META))
    world.submit(upsert_op("a", {"k": 1}), meta=old)
    new = replace(META, token=world.client.open_run(META))
    assert new.token is not None
    assert old.token is not None
    assert new.token > old.token
    for meta in (old, META, replace(META, token=new.token + 1)):
        with pytest.raises(PlanRefused) as caught:
            world.submit(upsert_op("b", {"k": 2}), meta=meta)
        assert caught.value.code == ErrorCode.FENCED
    assert world.read() == [{"k": 1}]
    world.submit(upsert_op("b", {"k": 2}), meta=new)


def test_replaced_worker_is_refused_even_what_it_had_applied(world: World) -> None:
    old = replace(META, token=world.client.open_run(META))
    world.submit(upsert_op("a", {"k": 1}), meta=old)
    world.client.open_run(META)
    with pytest.raises(PlanRefused, match="fenced"):
        world.submit(upsert_op("a", {"k": 1}), meta=old)


def test_token_of_a_run_that_was_never_opened_is_worth_nothing(world: World) -> None:
    with pytest.raises(PlanRefused, match="fenced"):
        world.submit(upsert_op("a", {"k": 1}), meta=replace(META, token=1))


def test_namespaces_see_nothing_of_each_other(world: World) -> None:
    ops = (upsert_op("a", {"k": 1}), put_op("b", 1))
    world.submit(*ops)
    assert world.read(SMOKE) == []
    assert [one.status for one in world.submit(*ops, meta=SMOKE)] == [OpStatus.APPLIED] * 2
    world.submit(make_op("c", "table.delete", rows_params({"k": 1})), meta=SMOKE)
    world.client.open_run(SMOKE)
    world.submit(upsert_op("d", {"k": 2}))
    assert [row["k"] for row in world.read()] == [1, 2]
    assert world.read(SMOKE) == []


def test_threads_share_a_client_and_each_op_has_one_effect(world: World) -> None:
    ops = tuple(append_op(f"op{number}", {"k": number}) for number in range(10))
    threads = [threading.Thread(target=world.submit, args=ops) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.effects == 10
    assert len(world.read()) == 10
