"""What a read is answered with, over every transport and backing there is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lorchestra.errors import PermanentError
from lorchestra.storacle import codec
from lorchestra.storacle.error_codes import ErrorCode
from tests.contract.storacle_world import KEY, META, SECRET, World, upsert_op


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"n": 3}, [3]),
        ({"n": 3.0}, [3]),
        ({"n": "3"}, []),
        ({"n": True}, []),
        ({"odd": True}, [1, 3]),
        ({"odd": True, "n": {"gt": 1}}, [3]),
        ({"n": {"ne": 3}}, [0, 1, 2, 4]),
        ({"n": {"lt": 2}}, [0, 1]),
        ({"n": {"lte": 2}}, [0, 1, 2]),
        ({"n": {"gt": 3}}, [4]),
        ({"n": {"gte": 3, "lt": 4}}, [3]),
        ({"k": {"gt": "k3"}}, [4]),
        ({"k": {"in": ["k1", "k9", 2]}}, [1]),
        ({"k": {"in": []}}, []),
        ({"note": None}, [0, 1, 2, 3]),
        ({"note": {"is_null": True}}, [0, 1, 2, 3]),
        ({"note": {"is_null": False}}, [4]),
        ({"note": {"ne": "x"}}, []),
        ({"absent": 1}, []),
    ],
)
def test_read_gives_the_rows_its_conditions_ask_for(world: World, where: dict[str, Any], found: list[int]) -> None:
    world.fill(4)
    world.submit(upsert_op("more", {"k": "k4", "n": 4, "odd": False, "note": "x"}))
    assert [row["n"] for row in world.read(where=where)] == found


def test_read_gives_the_columns_it_asks_for_and_null_for_what_a_row_lacks(world: World) -> None:
    world.fill(1)
    assert world.read(columns=["n", "absent"]) == [{"n": 0, "absent": None}]


def test_read_is_paged_by_key_and_pages_come_only_when_they_are_wanted(world: World) -> None:
    world.fill(8)
    rows = world.client.query({"dataset": "raw", "table": "objects"}, META)
    sent = len(world.recorder.exchanges)
    assert [next(rows)["n"] for _ in range(3)] == [0, 1, 2]
    assert len(world.recorder.exchanges) == sent + 1
    # A row that comes in front of the cursor meanwhile shifts no page, as it would by offset.
    world.submit(upsert_op("early", {"k": "a", "n": 99}), upsert_op("late", {"k": "z", "n": 100}))
    assert [row["n"] for row in rows] == [3, 4, 5, 6, 7, 100]
    requests: list[Any] = [one.request for one in world.recorder.exchanges]
    afters = [one["params"]["after"] for one in requests if one["method"] == "storacle.query"]
    assert afters[0] is None
    assert len(afters) == 3


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (2, 2), (3, 3), (4, 4), (8, 8), (100, 8)])
def test_limit_is_over_all_pages(world: World, limit: int, found: int) -> None:
    world.fill(8)
    assert len(world.read(limit=limit)) == found


def test_too_many_conditions_are_refused(world: World) -> None:
    world.fill()
    with pytest.raises(PermanentError, match=r"invalid_params, at /read/where"):
        world.read(where={f"c{number}": 1 for number in range(300)})


def test_read_of_what_nobody_wrote_gives_nothing(world: World) -> None:
    assert world.read(table="absent") == []


@pytest.mark.parametrize(
    ("read", "place"),
    [
        ({"dataset": "a b"}, "/read/dataset"),
        ({KEY: 1}, "/read/*"),
        ({"limit": -1}, "/limit"),
        ({"columns": []}, "/read/columns"),
        ({"where": []}, "/read/where"),
        ({"where": {KEY: {"like": SECRET}}}, "/read/where/*"),
        ({"where": {KEY: {}}}, "/read/where/*"),
        ({"where": {KEY: [1]}}, "/read/where/*"),
        ({"where": {KEY: {"in": 5}}}, "/read/where/*/in"),
        ({"where": {KEY: {"in": [None]}}}, "/read/where/*/in"),
        ({"where": {KEY: {"is_null": 1}}}, "/read/where/*/is_null"),
        ({"where": {KEY: {"eq": None}}}, "/read/where/*/eq"),
        ({"where": {f"x = '{SECRET}'": 1}}, "/read/where"),
    ],
)
def test_wrong_read_is_refused_with_its_place(world: World, read: dict[str, Any], place: str) -> None:
    with pytest.raises(PermanentError, match=rf"invalid_params, at .*{re.escape(place)}\)") as caught:
        world.read(**read)
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)


def test_what_is_unprocessed_of_a_table_without_an_idem_key_is_refused_as_unsupported(world: World) -> None:
    world.fill()
    with pytest.raises(PermanentError, match=r"unsupported, at /read/unprocessed"):
        world.read(unprocessed="canonize")


@pytest.mark.parametrize("after", ["k1", [], ["a", "b"], [None]])
def test_foreign_cursor_is_refused(world: World, after: object) -> None:
    world.fill()
    read = {"dataset": "raw", "table": "objects"}
    params: dict[str, Any] = {"read": read, "after": after, "limit": 5, "meta": META.to_dict()}
    answer: Any = world.handle(codec.request("storacle.query", params, 1))
    assert answer["error"]["code"] == ErrorCode.INVALID_PARAMS


def test_bq_query_is_another_name_of_storacle_query(world: World) -> None:
    world.fill(1)
    params: dict[str, Any] = {"read": {"dataset": "raw", "table": "objects"}, "limit": 5, "meta": META.to_dict()}
    answer: Any = world.handle(codec.request("bq.query", params, 1))
    assert answer["result"]["next"] is None
    assert len(answer["result"]["rows"]) == 1
