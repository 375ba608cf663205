"""What a read may ask of a row's fields: an order, and paths into columns of JSON. The same of every kind of table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lorchestra.errors import PermanentError
from tests.contract.storacle_world import META, SECRET, World, make_op, upsert_op

PEOPLE = (
    {"k": "a", "body": {"name": "Ada", "age": 36, "tags": ["x"], "ok": True}, "at": "b"},
    {"k": "b", "body": {"name": "Bea", "age": 4.5, "tags": [], "ok": False}, "at": None},
    {"k": "c", "body": {"name": "Cid", "age": "36", "odd key": 1}, "at": "a"},
    {"k": "d", "body": None, "at": "b"},
    {"k": "e", "body": {"name": None, "age": 1}},
)


@pytest.fixture(params=["undeclared", "declared"])
def table(request: pytest.FixtureRequest, world: World) -> str:
    """The name of a table that holds PEOPLE."""
    if request.param == "undeclared":
        world.submit(upsert_op("fill", *PEOPLE))
        return "objects"
    rows = [{"idem_key": row["k"], "payload": row["body"], "external_id": row.get("at")} for row in PEOPLE]
    params = {"dataset": "raw", "table": "raw_objects", "key_columns": ("idem_key",), "rows": rows}
    world.submit(make_op("fill", "table.upsert", params))
    return "raw_objects"


def keys(world: World, table: str, **read: Any) -> list[str]:
    """The keys of the rows found, with the names of PEOPLE for the columns, whatever the table calls them."""
    names = {"objects": {}, "raw_objects": {"k": "idem_key", "body": "payload", "at": "external_id"}}[table]

    def named(field: str) -> str:
        sign, field = ("-", field[1:]) if field.startswith("-") else ("", field)
        column, dot, rest = field.partition(".")
        return sign + names.get(column, column) + dot + rest

    if "where" in read:
        read["where"] = {named(field): asked for field, asked in read["where"].items()}
    if "order_by" in read:
        read["order_by"] = [named(field) for field in read["order_by"]]
    return [str(row[named("k")]) for row in world.read(table=table, **read)]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"body.name": "Ada"}, "a"),
        ({"body.age": 36}, "a"),
        ({"body.age": "36"}, "c"),
        ({"body.age": {"gt": 2}}, "ab"),
        ({"body.age": {"ne": 36}}, "bce"),
        ({"body.age": {"in": [36, "36", 1]}}, "ace"),
        ({"body.age": {"in": []}}, ""),
        ({"body.ok": True}, "a"),
        ({"body.ok": {"ne": True}}, "b"),
        ({"body.ok": 1}, ""),
        ({"body.tags[0]": "x"}, "a"),
        ({'body."odd key"': 1}, "c"),
        ({"body.absent": {"is_null": True}}, "abcde"),
        ({"body.name": None}, "de"),
        ({"body.name": {"is_null": False}}, "abc"),
        ({"body.name": "Ada", "at": "b"}, "a"),
    ],
)
def test_condition_reaches_into_json(world: World, table: str, where: Mapping[str, Any], found: str) -> None:
    assert "".join(keys(world, table, where=where)) == found


@pytest.mark.parametrize(
    ("order_by", "found"),
    [
        (["at"], "becad"),
        (["-at"], "adcbe"),
        (["-k"], "edcba"),
        (["at", "-k"], "ebcda"),
        (["-at", "k"], "adcbe"),
        (["body.name"], "deabc"),
        (["-body.name", "-k"], "cbaed"),
    ],
)
def test_rows_come_in_the_order_asked_for_over_all_pages(
    world: World, table: str, order_by: list[str], found: str
) -> None:
    assert "".join(keys(world, table, order_by=order_by)) == found
    assert "".join(keys(world, table, order_by=order_by, limit=4)) == found[:4]


def test_paths_are_columns_of_the_rows_read_by_the_name_they_are_asked_by(world: World) -> None:
    world.submit(upsert_op("fill", *PEOPLE))
    rows = world.read(columns=["body.name", "body.tags", "body.ok", "at"], where={"k": {"in": ["a", "d"]}})
    assert rows == [
        {"body.name": "Ada", "body.tags": ["x"], "body.ok": True, "at": "b"},
        {"body.name": None, "body.tags": None, "body.ok": None, "at": "b"},
    ]


@pytest.mark.parametrize(
    "field",
    [
        "body.",
        "body..name",
        "body[x]",
        "body[-1]",
        'body."a',
        'body."a"b"',
        "body.name; DROP TABLE _ledger",
        "body.name') OR 1=1 --",
        f'body."{"n" * 200}"',
        "body" + ".a" * 17,
        "",
        3,
    ],
)
@pytest.mark.parametrize("place", ["where", "columns", "order_by"])
def test_what_is_no_field_is_refused_and_not_quoted(world: World, place: str, field: Any) -> None:
    world.submit(upsert_op("fill", *PEOPLE))
    asked: Any = {str(field): SECRET} if place == "where" else [field]
    with pytest.raises(PermanentError, match=rf"invalid_params, at /read/{place}") as caught:
        world.read(**{place: asked})
    assert SECRET not in str(caught.value)
    assert len(world.read()) == len(PEOPLE)


def test_path_into_a_column_that_holds_no_json_is_refused(world: World) -> None:
    world.submit(
        make_op(
            "fill",
            "table.upsert",
            {"dataset": "raw", "table": "raw_objects", "key_columns": ("idem_key",), "rows": [{"idem_key": "a"}]},
        )
    )
    with pytest.raises(PermanentError, match=r"invalid_params, at /read/where"):
        list(world.client.query({"dataset": "raw", "table": "raw_objects", "where": {"idem_key.a": 1}}, META))
