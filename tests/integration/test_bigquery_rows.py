"""What the BigQuery backend does with rows, by Google's own client against a stand-in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from lorchestra.errors import PermanentError
from lorchestra.schemas import StoraclePlan
from lorchestra.storacle import OpStatus, PlanRefused, RpcClient
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.tables import Column, Table, Type
from lorchestra.storacle.transports import InProcessTransport
from tests.integration.bigquery_lab import META, START, BigQueryLab, bigquery_lab, visit

SECRET = "Jane Doe"


@pytest.fixture
def lab() -> Iterator[BigQueryLab]:
    with bigquery_lab() as lab:
        yield lab


def test_a_then_b_then_a_lands_each_time(lab: BigQueryLab) -> None:
    first, second = visit(payload={"n": 1}), visit(payload={"n": 2})
    assert [lab.upsert(row) for row in (first, second, first, first)] == [
        {"inserted": 1},
        {"updated": 1},
        {"updated": 1},
        {"unchanged": 1},
    ]
    (row,) = lab.read()
    assert row["payload"] == {"n": 1}


def test_rows_of_one_op_with_the_same_key_land_one_after_the_other(lab: BigQueryLab) -> None:
    rows = [
        visit(payload={"n": 1}),
        {"idem_key": "k2"},
        visit(payload={"n": 2}),
        visit(payload={"n": 2}),
        {"idem_key": "k1", "external_id": "x"},
        visit("k2"),
    ]
    assert lab.upsert(*rows) == {"inserted": 2, "updated": 3, "unchanged": 1}
    read = [(row["idem_key"], row["payload"], row["external_id"]) for row in lab.read()]
    assert read == [("k1", {"n": 2}, "x"), ("k2", {"n": 1}, None)]


def test_ops_of_one_group_see_what_those_before_them_did(lab: BigQueryLab) -> None:
    where = {"payload.n": 2}
    rows = {"dataset": "raw", "table": "raw_objects", "where": where}
    results = lab.submit(
        lab.op("table.upsert", [visit()], group="g"),
        lab.op("table.upsert", [{"idem_key": "k1", "payload": {"n": 2}}], group="g"),
        lab.any_op("assert.rows", {**rows, "count": 1}, group="g"),
        lab.op("table.delete", [visit(), visit("absent"), visit()], group="g"),
        lab.op("wal.append", [visit(payload={"n": 3})], group="g"),
        lab.any_op("assert.rows", {**rows, "count": 0}, group="g"),
    )
    assert [{name: number for name, number in one.counts.items() if number} for one in results] == [
        {"inserted": 1},
        {"updated": 1},
        {"matched": 1},
        {"deleted": 1, "absent": 2},
        {"inserted": 1},
        {},
    ]
    assert [row["payload"] for row in lab.read()] == [{"n": 3}]


def test_an_appended_row_stays_as_it_is(lab: BigQueryLab) -> None:
    event = {"idem_key": "e1", "event_type": "job.started", "payload": {"n": 1}}
    assert lab.do("event.append", [event], table="events.event_log") == {"inserted": 1}
    assert lab.do("event.append", [event, event], table="events.event_log") == {"unchanged": 2}
    with pytest.raises(PlanRefused, match="rows/1") as refused:
        lab.do("event.append", [{"idem_key": "e2"}, {**event, "payload": SECRET}], table="events.event_log")
    assert refused.value.code == ErrorCode.CONFLICT
    assert SECRET not in str(refused.value)
    assert len(lab.read("events.event_log")) == 1


def test_every_row_keeps_the_tag_of_the_op_that_wrote_it_last(lab: BigQueryLab) -> None:
    lab.upsert(visit("k1"), visit("k2"))
    lab.upsert(visit("k1"), visit("k2", payload={"n": 2}))
    tags = [row["_op"] for row in lab.read(columns=["idem_key", "_op"])]
    ledger = {row["op_id"]: row["tag"] for row in lab.read("storacle._ledger")}
    assert tags == [ledger["0"], ledger["1"]]


def test_the_ledger_says_who_wrote_what_and_when(lab: BigQueryLab) -> None:
    lab.upsert(visit(), content_sha256="a" * 64)
    (row,) = lab.read("storacle._ledger")
    assert (row["run_id"], row["job_id"], row["step_id"], row["method"]) == (
        "01RUN",
        "Visits.daily",
        "write",
        "table.upsert",
    )
    assert (row["content_sha256"], row["counts"]) == ("a" * 64, {"inserted": 1, "updated": 0, "unchanged": 0})
    assert row["applied_at"].startswith("2026-03-01T06:0")


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (visit(source_system=5), "rows/1/*"),
        (visit(first_seen="yesterday"), "rows/1/*"),
        (visit(jane=SECRET), "rows/1"),
        (visit(idem_key=None), "rows/1/*"),
        (visit(payload=object()), "rows/1/*"),
        (visit(external_id="\ud800"), "rows/1"),
        (SECRET, "rows/1"),
    ],
)
def test_what_a_table_cannot_hold_is_refused_before_anything_is_sent(lab: BigQueryLab, row: Any, place: str) -> None:
    asked = len(lab.standin.asked("jobs.insert"))
    with pytest.raises(PlanRefused) as refused:
        lab.upsert(visit(), row)
    assert str(refused.value).endswith(f"/plan/ops/0/params/{place})")
    assert SECRET not in str(refused.value)
    assert len(lab.standin.asked("jobs.insert")) == asked


def test_values_of_every_type_come_out_as_they_went_in(lab: BigQueryLab) -> None:
    payload = {"text": "naïve \"'`\\ \n\t", "list": [1, 2.5, None, True, {"a": []}], "big": 2**53 + 1, "e": {}}
    seen = "2026-03-01T01:00:00.000001+02:00"
    lab.upsert(visit(payload=payload, first_seen=seen, external_id="'); DROP TABLE x; --"))
    (row,) = lab.read()
    assert row["payload"] == payload
    assert row["first_seen"] == "2026-02-28T23:00:00.000001Z"
    assert row["external_id"] == "'); DROP TABLE x; --"
    lab.upsert({"idem_key": "o", "value": 2, "payload": [1]}, table="derived.observations")
    (row,) = lab.read("derived.observations")
    assert (row["value"], row["payload"]) == (2.0, [1])


EVERY_TYPE = Table(
    dataset="made",
    name="up",
    columns=(Column("k"), *(Column(type_.value.lower(), type_) for type_ in Type)),
    key_columns=("k",),
)


def test_columns_of_every_type_hold_what_they_should_and_compare_as_such() -> None:
    said = {
        "string": "s",
        "int64": 2**62,
        "float64": 0.1,
        "bool": True,
        "timestamp": "2026-03-01T00:00:00.000000Z",
        "date": "2026-03-01",
        "json": {"a": [1]},
    }
    with bigquery_lab(tables={("made", "up"): EVERY_TYPE}) as lab:
        how: dict[str, Any] = {"table": "made.up", "keys": ("k",)}
        lab.upsert({"k": "a", **said}, {"k": "b", **dict.fromkeys(said)}, **how)
        assert lab.read("made.up") == [{"k": "a", **said}, {"k": "b", **dict.fromkeys(said)}]
        assert lab.upsert({"k": "a", **said}, **how) == {"unchanged": 1}
        for name, value in said.items():
            if name != "json":
                for where in (value, {"in": [value]}, {"gte": value}, {"is_null": False}):
                    assert [row["k"] for row in lab.read("made.up", where={name: where})] == ["a"], (name, where)
            assert [row["k"] for row in lab.read("made.up", where={name: None})] == ["b"]
            with pytest.raises(PlanRefused, match="rows/0"):
                lab.upsert({"k": "a", name: object()}, **how)
        for wrong in ({"int64": 2**63}, {"int64": True}, {"float64": "1"}, {"bool": 1}, {"date": "March"}):
            with pytest.raises(PlanRefused, match="rows/0"):
                lab.upsert({"k": "a", **wrong}, **how)
        with pytest.raises(PermanentError, match="invalid_params"):
            lab.read("made.up", where={"date": "March"})
        order = lab.read("made.up", order_by=["-json", "-bool", "date"], columns=["k"])
        assert [row["k"] for row in order] == ["a", "b"]


def _random_unit(chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """The methods and params of a few ops on few keys, so that they meet."""
    ops: list[tuple[str, dict[str, Any]]] = []
    for _ in range(chance.randint(1, 3)):
        declared = chance.random() < 0.6
        names = ["source_system", "external_id", "validation_status", "payload", "correlation_id"]
        rows = []
        for _ in range(chance.randint(1, 4)):
            chosen = chance.sample(names if declared else ["a", "b", "c"], chance.randint(0, 3))
            said: dict[str, Any] = {name: chance.choice(["x", "y", None]) for name in chosen}
            if "payload" in said:
                said["payload"] = chance.choice([{"n": 1}, {"n": 2, "m": [None]}, None])
            rows.append({"idem_key": chance.choice("pqr"), **said})
        table = {"dataset": "raw", "table": "raw_objects" if declared else "others", "key_columns": ["idem_key"]}
        method = chance.choices(["table.upsert", "wal.append", "table.delete", "state.put"], [8, 1, 2, 2])[0]
        if method == "state.put":
            value, expected = chance.choice([1, 2.5, "a", None]), chance.choice([1, "a", None])
            never_back = value is not None and chance.random() < 0.7
            ops.append((method, {"key": "c", "value": value, "expected": expected, "never_back": never_back}))
        else:
            ops.append((method, {**table, "rows": rows}))
    return ops


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(1, 4))])
def test_the_same_plans_give_the_same_answers_and_the_same_rows_as_on_sqlite(seed: int) -> None:
    chance = random.Random(seed)
    units = [_random_unit(chance) for _ in range(12)]
    minutes = count()
    sqlite = SqliteBackend(None, now=lambda: START + timedelta(minutes=next(minutes)))
    other = RpcClient(InProcessTransport(DataService(sqlite)))
    with bigquery_lab() as lab:
        meta = replace(META, token=other.open_run(META))
        for number, unit in enumerate(units):
            ops = [
                lab.any_op(method, params, name=f"{number}.{position}", group=f"g{number}")
                for position, (method, params) in enumerate(unit)
            ]
            plan = StoraclePlan(correlation_id="01RUN", ops=tuple(ops))
            answers = [_answer(client, plan, meta) for client in (lab.client, other)]
            assert answers[0] == answers[1], unit
            for table in ("raw_objects", "others"):
                read = {"dataset": "raw", "table": table}
                rows = [_without_times(client.query(read, meta)) for client in (lab.client, other)]
                assert rows[0] == rows[1], unit
    sqlite.close()


def _answer(client: RpcClient, plan: StoraclePlan, meta: Any) -> Any:
    try:
        return [(one.status, dict(one.counts)) for one in client.execute_plan(plan, meta)]
    except PlanRefused as refused:
        return refused.op_id, refused.code, refused.reason


def _without_times(rows: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if not name.endswith("_seen")} for row in rows]


def test_many_bytes_go_in_chunks_and_few_in_one_request(lab: BigQueryLab) -> None:
    lab.upsert(visit("small"))
    lab.upsert(*(visit(f"k{number}", payload={"text": "x" * 1_500_000}) for number in range(4)))
    kinds = [asked.query["uploadType"] for asked in lab.standin.asked("jobs.insert") if "uploadType" in asked.query]
    assert kinds == ["multipart", "resumable"]
    found = lab.read(columns=["idem_key", "payload.text"])
    assert [len(row["payload.text"] or "") for row in found] == [1_500_000] * 4 + [0]


@pytest.mark.parametrize("token", [2**63, 0, -1])
def test_a_token_that_no_run_can_have_is_refused(lab: BigQueryLab, token: int) -> None:
    plan = StoraclePlan(correlation_id="c", ops=(lab.op("table.upsert", [visit()]),))
    with pytest.raises(PlanRefused, match="fenced"):
        lab.client.execute_plan(plan, replace(lab.meta, token=token))
    assert lab.read() == []


def test_a_resend_is_known_from_the_ledger(lab: BigQueryLab) -> None:
    op = lab.op("table.upsert", [visit()])
    assert [one.status for one in (*lab.submit(op), *lab.submit(op))] == [OpStatus.APPLIED, OpStatus.ALREADY]
    assert lab.effects == 1
