"""What the SQLite backend makes of declared tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lorchestra.errors import PermanentError
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import PlanRefused, RpcClient
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.transports import InProcessTransport
from tests.integration.plan_process import META

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
SECRET = "Jane Doe"


class Lab:
    """A client of a service whose clock goes on by a minute with every op."""

    def __init__(self, path: Path | None) -> None:
        minutes = count()
        self.backend = SqliteBackend(path, now=lambda: START + timedelta(minutes=next(minutes)))
        self.client = RpcClient(InProcessTransport(DataService(self.backend)), page_rows=2)
        self.meta = replace(META, token=self.client.open_run(META))
        self._names = map(str, count())

    def do(self, method: str, rows: Sequence[Mapping[str, Any]], *, table: str = "raw.raw_objects") -> dict[str, int]:
        name = next(self._names)
        dataset, _, table = table.partition(".")
        params = {"dataset": dataset, "table": table, "key_columns": ["idem_key"], "rows": rows}
        op = StoracleOp(op_id=name, method=method, params=params, idempotency_key=name)
        (result,) = self.client.execute_plan(StoraclePlan(correlation_id="01RUN", ops=(op,)), self.meta)
        return {name: number for name, number in result.counts.items() if number}

    def upsert(self, *rows: Mapping[str, Any], table: str = "raw.raw_objects") -> dict[str, int]:
        return self.do("table.upsert", list(rows), table=table)

    def read(self, table: str = "raw.raw_objects", **read: Any) -> list[dict[str, Any]]:
        dataset, _, table = table.partition(".")
        return [dict(row) for row in self.client.query({"dataset": dataset, "table": table, **read}, self.meta)]

    def one(self) -> dict[str, Any]:
        (row,) = self.read()
        return row


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "data.db")
    yield lab
    lab.backend.close()


def visit(key: str = "k1", **says: Any) -> dict[str, Any]:
    return {"idem_key": key, "source_system": "lab", "object_type": "visit", "payload": {"n": 1}, **says}


def test_a_then_b_then_a_lands_each_time(lab: Lab) -> None:
    first, second = visit(payload={"n": 1}), visit(payload={"n": 2})
    assert [lab.upsert(row) for row in (first, second, first, first)] == [
        {"inserted": 1},
        {"updated": 1},
        {"updated": 1},
        {"unchanged": 1},
    ]
    assert lab.one()["payload"] == {"n": 1}


def test_when_a_row_was_first_seen_is_kept_and_when_it_was_last_seen_is_touched(lab: Lab) -> None:
    lab.upsert(visit())
    before = lab.one()
    lab.upsert(visit())
    after = lab.one()
    assert before["first_seen"] == after["first_seen"] == before["last_seen"] < after["last_seen"]
    assert {name for name in before if before[name] != after[name]} == {"last_seen"}


def test_a_row_that_names_some_columns_leaves_the_others(lab: Lab) -> None:
    lab.upsert(visit(external_id="x1"))
    assert lab.upsert({"idem_key": "k1", "connection_name": "acct1"}) == {"updated": 1}
    assert lab.upsert({"idem_key": "k1", "payload": {"n": 1}}) == {"unchanged": 1}
    row = lab.one()
    assert (row["external_id"], row["connection_name"], row["payload"]) == ("x1", "acct1", {"n": 1})


def test_provenance_alone_is_no_change(lab: Lab) -> None:
    lab.upsert(visit(correlation_id="run-1"))
    assert lab.upsert(visit(correlation_id="run-2", last_seen="2026-03-02T00:00:00Z")) == {"unchanged": 1}
    assert lab.one()["correlation_id"] == "run-1"


def test_the_order_of_the_keys_of_a_payload_is_no_change(lab: Lab) -> None:
    lab.upsert(visit(payload={"a": 1, "b": [2, {"c": None, "d": True}]}))
    assert lab.upsert(visit(payload={"b": [2, {"d": True, "c": None}], "a": 1})) == {"unchanged": 1}


def test_the_verdict_on_an_object_is_void_when_its_content_changes(lab: Lab) -> None:
    lab.upsert(visit())
    assert lab.upsert({"idem_key": "k1", "validation_status": "pass"}) == {"updated": 1}
    assert lab.upsert(visit()) == {"unchanged": 1}
    assert lab.one()["validation_status"] == "pass"
    lab.upsert(visit(payload={"n": 2}))
    assert lab.one()["validation_status"] is None


def test_rows_of_one_op_with_the_same_key_land_one_after_the_other(lab: Lab) -> None:
    rows = [visit(payload={"n": 1}), visit(payload={"n": 2}), visit(payload={"n": 2}), visit("k2")]
    assert lab.upsert(*rows) == {"inserted": 2, "updated": 1, "unchanged": 1}
    assert [row["payload"] for row in lab.read()] == [{"n": 2}, {"n": 1}]


def test_more_rows_than_are_looked_up_at_once(lab: Lab) -> None:
    rows = [visit(f"k{number:05d}") for number in range(1201)]
    assert lab.upsert(*rows) == {"inserted": 1201}
    assert lab.upsert(*rows, visit("new")) == {"unchanged": 1201, "inserted": 1}
    assert lab.do("table.delete", rows) == {"deleted": 1201}
    assert [row["idem_key"] for row in lab.read()] == ["new"]


def test_an_appended_row_stays_as_it_is(lab: Lab) -> None:
    event = {"idem_key": "e1", "event_type": "job.started", "payload": {"n": 1}}
    assert lab.do("event.append", [event], table="events.event_log") == {"inserted": 1}
    assert lab.do("event.append", [event], table="events.event_log") == {"unchanged": 1}
    with pytest.raises(PlanRefused) as refused:
        lab.do("event.append", [{**event, "payload": {"n": 2}}], table="events.event_log")
    assert refused.value.code == ErrorCode.CONFLICT


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (visit(source_system=5), "rows/0/*"),
        (visit(first_seen="yesterday"), "rows/0/*"),
        (visit(first_seen=7), "rows/0/*"),
        (visit(jane=SECRET), "rows/0"),
        (visit(idem_key=None), "rows/0/*"),
        ({"payload": SECRET}, "rows/0/*"),
        (visit(payload=object()), "rows/0/*"),
        (SECRET, "rows/0"),
    ],
)
def test_what_a_declared_table_cannot_hold_is_refused_with_its_place_and_without_its_value(
    lab: Lab, row: Any, place: str
) -> None:
    with pytest.raises(PlanRefused) as refused:
        lab.upsert(row)
    assert refused.value.code == ErrorCode.INVALID_PARAMS
    assert str(refused.value).endswith(f"/plan/ops/0/params/{place})")
    assert SECRET not in str(refused.value)
    assert lab.read() == []


def test_times_are_kept_in_utc_and_compare_as_times(lab: Lab) -> None:
    lab.upsert(visit("k1", first_seen="2026-03-01T01:00:00+02:00"), visit("k2", first_seen="2026-03-01T00:30:00Z"))
    assert [row["first_seen"] for row in lab.read()] == ["2026-02-28T23:00:00.000000Z", "2026-03-01T00:30:00.000000Z"]
    early = lab.read(where={"first_seen": {"lt": "2026-03-01T01:00:00+01:00"}})
    assert [row["idem_key"] for row in early] == ["k1"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"external_id": "b"}, ["k2"]),
        ({"external_id": None}, ["k3"]),
        ({"external_id": {"is_null": False}}, ["k1", "k2"]),
        ({"external_id": {"ne": "b"}}, ["k1"]),
        ({"external_id": {"gte": "a", "lt": "b"}}, ["k1"]),
        ({"external_id": {"in": ["a", "b", 5, True]}}, ["k1", "k2"]),
        ({"external_id": {"in": []}}, []),
        ({"external_id": 5}, []),
        ({"external_id": {"ne": 5}}, ["k1", "k2"]),
        ({"external_id": "a' OR '1'='1"}, []),
        ({"external_id": "a", "object_type": "other"}, []),
        ({"payload": {"is_null": False}}, ["k1", "k2", "k3"]),
    ],
)
def test_conditions(lab: Lab, where: dict[str, Any], found: list[str]) -> None:
    lab.upsert(visit("k1", external_id="a"), visit("k2", external_id="b"), visit("k3"))
    assert [row["idem_key"] for row in lab.read(where=where)] == found


@pytest.mark.parametrize(
    ("read", "place"),
    [
        ({"where": {"nowhere": 1}}, "/read/where/*"),
        ({"where": {"payload": "x"}}, "/read/where/*"),
        ({"where": {"first_seen": "noon"}}, "/read/where/*"),
        ({"columns": ["nowhere"]}, "/read/columns"),
    ],
)
def test_a_read_of_what_a_declared_table_has_not(lab: Lab, read: dict[str, Any], place: str) -> None:
    lab.upsert(visit())
    with pytest.raises(PermanentError, match=f"at {place}".replace("*", r"\*")):
        lab.read(**read)


def test_columns_and_pages_of_a_declared_table(lab: Lab) -> None:
    lab.upsert(*(visit(f"k{number}", external_id=str(number)) for number in range(7)))
    assert lab.read(columns=["external_id"], limit=5) == [{"external_id": str(number)} for number in range(5)]
    assert [row["idem_key"] for row in lab.read()] == [f"k{number}" for number in range(7)]


def test_a_declared_table_has_the_key_it_was_declared_with(lab: Lab) -> None:
    params = {"dataset": "raw", "table": "raw_objects", "key_columns": ["external_id"], "rows": [visit()]}
    op = StoracleOp(op_id="a", method="table.upsert", params=params, idempotency_key="a")
    with pytest.raises(PlanRefused, match="/plan/ops/0/params/key_columns"):
        lab.client.execute_plan(StoraclePlan(correlation_id="01RUN", ops=(op,)), lab.meta)


def test_namespaces_keep_their_rows_apart(lab: Lab) -> None:
    lab.upsert(visit())
    lab.meta = replace(lab.meta, namespace="smoke_x", token=lab.client.open_run(replace(META, namespace="smoke_x")))
    assert lab.read() == []
    lab.upsert(visit(payload={"n": 9}), {"idem_key": "k2"})
    lab.meta = replace(lab.meta, namespace="prod")
    assert [row["payload"] for row in lab.read()] == [{"n": 1}]
