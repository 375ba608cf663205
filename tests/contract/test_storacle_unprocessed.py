"""What a stage has not done yet: its markers, what a row says, and the code decide, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.contract.storacle_world import META, SMOKE, World, make_op, rows_params

STAGE = "canonize"
HASH = "_content_hash"


def raw(name: str, *keys: str, **columns: Any) -> Any:
    rows = [{"idem_key": key, **columns} for key in keys]
    return make_op(name, "table.upsert", {**rows_params(*rows, table="raw_objects", keys=("idem_key",))})


def done(name: str, world: World, *keys: str, code: str = "c1", result: str = "ok", meta: Any = META) -> Any:
    hashes = {row["idem_key"]: row[HASH] for row in world.read(meta, table="raw_objects", columns=["idem_key", HASH])}
    rows = [
        {"stage": STAGE, "idem_key": key, "content_hash": hashes[key], "code_hash": code, "result": result}
        for key in keys
    ]
    params = {"dataset": "storacle", "table": "_processed", "key_columns": ("stage", "idem_key"), "rows": rows}
    return make_op(name, "table.upsert", params)


def left(world: World, code: str | None = "c1", meta: Any = META, **read: Any) -> str:
    asked: Any = STAGE if code is None else {"stage": STAGE, "code_hash": code}
    return "".join(row["idem_key"] for row in world.read(meta, table="raw_objects", unprocessed=asked, **read))


def test_record_without_a_marker_is_read_with_its_content_hash(world: World) -> None:
    world.submit(raw("fill", *"abcdefg"))
    rows = world.read(table="raw_objects", unprocessed=STAGE, columns=["idem_key"])
    assert [row["idem_key"] for row in rows] == list("abcdefg")
    assert {frozenset(row) for row in rows} == {frozenset({"idem_key", HASH})}
    assert len({row[HASH] for row in rows}) == 7


def test_record_with_a_marker_is_not_read_again_whatever_came_of_it(world: World) -> None:
    world.submit(raw("fill", *"abcd"))
    world.submit(
        done("a", world, "a"), done("b", world, "b", result="empty"), done("c", world, "c", result="quarantined")
    )
    assert left(world) == "d"


def test_record_is_read_again_when_its_content_changed_and_not_when_it_was_only_seen(world: World) -> None:
    world.submit(raw("fill", "a", "b", payload={"n": 1}))
    world.submit(done("done", world, "a", "b"))
    world.submit(raw("seen", "a", payload={"n": 1}))
    assert left(world) == ""
    world.submit(raw("changed", "b", payload={"n": 2}))
    assert left(world) == "b"


def test_verdict_on_a_record_is_no_change_of_it(world: World) -> None:
    world.submit(raw("fill", "a", payload={"n": 1}))
    world.submit(done("done", world, "a"))
    world.submit(raw("judged", "a", validation_status="pass"))
    assert left(world) == ""


def test_record_is_read_again_by_other_code_where_code_is_asked_for(world: World) -> None:
    world.submit(raw("fill", "a"))
    world.submit(done("done", world, "a", code="c1"))
    assert left(world, "c2") == "a"
    assert left(world, None) == ""


def test_marker_of_another_stage_does_not_count(world: World) -> None:
    world.submit(raw("fill", "a"))
    world.submit(done("done", world, "a"))
    assert [row["idem_key"] for row in world.read(table="raw_objects", unprocessed="another")] == ["a"]


def test_conditions_order_and_limit_hold_besides(world: World) -> None:
    world.submit(raw("fill", *"abcdefgh", source_system="gmail"), raw("others", *"xyz", source_system="forms"))
    world.submit(done("done", world, "b", "x"))
    assert left(world, where={"source_system": "gmail"}, limit=5, order_by=["-idem_key"]) == "hgfed"


def test_smoke_run_that_reads_production_has_markers_of_its_own(world: World) -> None:
    over_production = replace(SMOKE, read_namespace="prod")
    world.submit(raw("fill", "a", "b"))
    world.submit(done("done", world, "a"))
    assert left(world, meta=over_production) == "ab"
    world.submit(done("smoke", world, "b"), meta=SMOKE)
    assert left(world, meta=over_production) == "a"
    assert left(world) == "b"
