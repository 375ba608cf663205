"""Views and tables that a query makes, in BigQuery SQL: by a plan, and read like any other table."""

from __future__ import annotations

from typing import Any

import pytest

from lorchestra.storacle import PlanRefused
from tests.contract.storacle_world import META, SECRET, SMOKE, World, make_op, rows_params

PER_SOURCE = "SELECT source_system, COUNT(*) AS found FROM raw.raw_objects GROUP BY source_system"


def fill(world: World, meta: Any = META, /, **keys: int) -> None:
    rows = [
        {
            "idem_key": f"{source}:{number}",
            "source_system": source,
            "payload": {"n": number, "ok": bool(number % 2)},
            "first_seen": f"2026-03-{number + 1:02}T06:00:00Z",
        }
        for source, count in keys.items()
        for number in range(count)
    ]
    params = rows_params(*rows, table="raw_objects", keys=("idem_key",))
    world.submit(make_op(f"fill {sorted(keys)}", "table.upsert", params), meta=meta)


def view(world: World, name: str, sql: str, /, meta: Any = META, op: str = "") -> dict[str, int]:
    params = {"dataset": "derived", "table": name, "sql": sql}
    [result] = world.submit(make_op(op or f"view {name}", "view.create", params), meta=meta)
    return dict(result.counts)


def read(world: World, name: str, /, meta: Any = META, **asked: Any) -> list[Any]:
    return world.read(meta, dataset="derived", table=name, **asked)


def test_view_shows_what_is_there_whenever_it_is_read(world: World) -> None:
    assert view(world, "per_source", PER_SOURCE) == {"created": 1, "unchanged": 0}
    assert read(world, "per_source") == []
    fill(world, gmail=3, forms=1)
    assert read(world, "per_source", order_by=["source_system"]) == [
        {"source_system": "forms", "found": 1},
        {"source_system": "gmail", "found": 3},
    ]


def test_same_view_again_is_unchanged_and_another_takes_its_place(world: World) -> None:
    view(world, "it", PER_SOURCE)
    assert view(world, "it", PER_SOURCE, op="again") == {"created": 0, "unchanged": 1}
    assert view(world, "it", "SELECT idem_key FROM raw.raw_objects", op="other") == {"created": 1, "unchanged": 0}
    fill(world, gmail=1)
    assert read(world, "it") == [{"idem_key": "gmail:0"}]


def test_types_come_out_of_a_view_as_they_come_out_of_a_table(world: World) -> None:
    fill(world, gmail=2)
    view(
        world,
        "typed",
        """SELECT idem_key, payload, first_seen, JSON_VALUE(payload, '$.n') AS n,
        JSON_VALUE(payload, '$.ok') = 'true' AS ok,
        SAFE_CAST(JSON_VALUE(payload, '$.n') AS INT64) + 0.5 AS half, DATE(first_seen) AS day
        FROM raw.raw_objects WHERE idem_key = 'gmail:1'""",
    )
    assert read(world, "typed") == [
        {
            "idem_key": "gmail:1",
            "payload": {"n": 1, "ok": True},
            "first_seen": "2026-03-02T06:00:00.000000Z",
            "n": "1",
            "ok": True,
            "half": 1.5,
            "day": "2026-03-02",
        }
    ]
    [row] = read(world, "typed", where={"first_seen": {"lt": "2026-03-03"}, "ok": True, "payload.n": 1}, columns=["n"])
    assert row == {"n": "1"}


@pytest.mark.parametrize("descending", [False, True])
def test_view_with_rows_that_are_alike_is_read_whole_over_all_pages(world: World, descending: bool) -> None:
    fill(world, gmail=10, forms=4)
    view(world, "alike", "SELECT source_system, NULLIF(source_system, 'forms') AS maybe FROM raw.raw_objects")
    order = ["-source_system"] if descending else []
    rows = [(row["source_system"], row["maybe"]) for row in read(world, "alike", order_by=order)]
    assert sorted(rows, key=str) == [("forms", None)] * 4 + [("gmail", "gmail")] * 10
    assert rows == sorted(rows, key=lambda row: row[0], reverse=descending)


def test_table_is_what_its_query_gave_when_it_was_made(world: World) -> None:
    fill(world, gmail=3)
    sql = f"CREATE OR REPLACE TABLE derived.counts AS {PER_SOURCE}"
    [made] = world.submit(make_op("make", "sql.execute", {"sql": sql}))
    fill(world, forms=2)
    assert made.counts == {"rows": 1}
    assert read(world, "counts") == [{"source_system": "gmail", "found": 3}]
    [again] = world.submit(make_op("make again", "bq.execute", {"sql": sql}))
    assert again.counts == {"rows": 2}


def test_query_may_read_what_other_queries_made_and_the_table_it_replaces(world: World) -> None:
    fill(world, gmail=3)
    view(world, "base", PER_SOURCE)
    for number in range(2):
        before = "derived.kept" if number else "derived.base"
        sql = f"CREATE OR REPLACE TABLE derived.kept AS SELECT source_system, found * 2 AS found FROM {before}"
        world.submit(make_op(f"make {number}", "sql.execute", {"sql": sql}))
    assert read(world, "kept") == [{"source_system": "gmail", "found": 12}]


def test_view_may_become_a_table_and_a_table_a_view(world: World) -> None:
    fill(world, gmail=1)
    view(world, "it", PER_SOURCE)
    world.submit(make_op("table", "sql.execute", {"sql": f"CREATE OR REPLACE TABLE derived.it AS {PER_SOURCE}"}))
    assert read(world, "it") == [{"source_system": "gmail", "found": 1}]
    assert view(world, "it", PER_SOURCE, op="again") == {"created": 1, "unchanged": 0}
    assert read(world, "it") == [{"source_system": "gmail", "found": 1}]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1", "invalid_params"),
        ("DROP TABLE raw.raw_objects", "invalid_params"),
        ("CREATE OR REPLACE TABLE derived.t AS SELECT 1 AS a; DROP TABLE raw.raw_objects", "invalid_params"),
        (f"CREATE OR REPLACE TABLE derived.t AS SELECT '{SECRET}' FROM raw.absent", "invalid_params"),
        ("CREATE OR REPLACE TABLE derived.t AS SELECT key FROM storacle._ledger", "invalid_params"),
        ("CREATE OR REPLACE TABLE derived.t AS SELECT * FROM sqlite_master", "invalid_params"),
        ("CREATE OR REPLACE TABLE raw.raw_objects AS SELECT 1 AS a", "conflict"),
        ("CREATE OR REPLACE VIEW storacle._ledger AS SELECT 1 AS a", "conflict"),
        ("CREATE OR REPLACE TABLE derived.t AS SELECT RAND() AS a", "invalid_params"),
        ("", "invalid_params"),
    ],
)
def test_sql_that_may_not_be_is_refused_and_not_quoted(world: World, sql: str, reason: str) -> None:
    fill(world, gmail=1)
    with pytest.raises(PlanRefused, match=rf"\({reason}, at /plan/ops/0/params/sql\)") as caught:
        world.submit(make_op("a", "sql.execute", {"sql": sql}))
    assert SECRET not in str(caught.value)
    assert len(world.read(table="raw_objects")) == 1


def test_what_an_author_wrote_rows_into_is_not_replaced_by_a_query(world: World) -> None:
    world.submit(make_op("rows", "table.upsert", rows_params({"k": 1}, table="mine")))
    with pytest.raises(PlanRefused, match="conflict"):
        world.submit(make_op("a", "sql.execute", {"sql": "CREATE OR REPLACE TABLE raw.mine AS SELECT 1 AS a"}))
    assert world.read(table="mine") == [{"k": 1}]


def test_rows_cannot_be_written_into_what_a_query_made(world: World) -> None:
    world.submit(make_op("make", "sql.execute", {"sql": "CREATE OR REPLACE TABLE raw.made AS SELECT 1 AS k"}))
    with pytest.raises(PlanRefused, match="conflict"):
        world.submit(make_op("rows", "table.upsert", rows_params({"k": 2}, table="made")))
    assert world.read(table="made") == [{"k": 1}]


def test_view_of_a_group_that_is_refused_is_not_there(world: World) -> None:
    fill(world, gmail=1)
    params = {"dataset": "derived", "table": "it", "sql": PER_SOURCE}
    nothing = {"dataset": "raw", "table": "raw_objects", "where": {"idem_key": "absent"}}
    with pytest.raises(PlanRefused, match="assertion_failed"):
        world.submit(
            make_op("view", "view.create", params, group="g"), make_op("no", "assert.exists", nothing, group="g")
        )
    assert read(world, "it") == []
    assert view(world, "it", PER_SOURCE, op="later")["created"] == 1


def test_each_namespace_has_views_of_its_own(world: World) -> None:
    fill(world, gmail=2)
    view(world, "it", PER_SOURCE)
    fill(world, SMOKE, forms=1)
    view(world, "it", PER_SOURCE, SMOKE, op="smoke")
    assert read(world, "it") == [{"source_system": "gmail", "found": 2}]
    assert read(world, "it", SMOKE) == [{"source_system": "forms", "found": 1}]


def test_query_reads_a_table_that_nobody_declared_by_the_json_of_its_rows(world: World) -> None:
    world.submit(make_op("rows", "table.upsert", rows_params({"k": "a", "n": 1}, {"k": "b", "n": 2}, table="mine")))
    sql = "SELECT JSON_VALUE(row, '$.k') AS k, SAFE_CAST(JSON_VALUE(row, '$.n') AS INT64) AS n FROM raw.mine"
    view(world, "mine", sql)
    assert read(world, "mine", where={"n": {"gt": 1}}) == [{"k": "b", "n": 2}]
