"""What the BigQuery backend does with rows and reads, by Google's own client against a stand-in."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from lorchestra.clock import SystemClock
from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.schemas import StoraclePlan
from lorchestra.storacle import OpStatus, PlanRefused, RpcClient
from lorchestra.storacle.backends.bigquery import BigQueryConfig
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import parse_read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Column, Table, Type
from lorchestra.storacle.transports import InProcessTransport
from tests.bigquery_plane import backend_for
from tests.integration.bigquery_lab import META, START, BigQueryLab, bigquery_lab, visit
from tests.standins.bigquery.client import connect

SECRET = "Jane Doe"


@pytest.fixture
def lab() -> Iterator[BigQueryLab]:
    with bigquery_lab() as lab:
        yield lab


@pytest.fixture
def google(lab: BigQueryLab) -> Iterator[bigquery.Client]:
    """Google's client of somebody else."""
    with connect(lab.standin) as client:
        yield client


# Rows


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


def test_what_is_written_elsewhere_is_known_to_the_ledger_and_goes_with_its_namespace(
    lab: BigQueryLab, tmp_path: Path
) -> None:
    outward = outward_methods(Roots({"files": tmp_path}), SystemClock(), None)
    smoke = BigQueryLab(lab.standin, lab.backend, meta=replace(META, namespace="smoke_a"))
    service = DataService(lab.backend, outward)
    client = RpcClient(InProcessTransport(service))
    smoke.upsert(visit("k1"), visit("k2"))
    copy = {
        "path": "copy.db",
        "table": "visits",
        "key_columns": ["idem_key"],
        "source": {"dataset": "raw", "table": "raw_objects", "columns": ["idem_key", "first_seen"]},
    }
    ops = (smoke.any_op("file.write", {"path": "note.md", "content": "text"}), smoke.any_op("sqlite.sync", copy))
    plan = StoraclePlan(correlation_id="c", ops=ops)
    assert [one.status for one in client.execute_plan(plan, smoke.meta)] == [OpStatus.APPLIED] * 2
    assert [one.status for one in client.execute_plan(plan, smoke.meta)] == [OpStatus.ALREADY] * 2
    made = [(one.kind, one.name) for one in client.objects("smoke_a")]
    assert made == [
        ("table", "raw.raw_objects"),
        ("file", "files/_smoke/a/note.md"),
        ("sqlite", "files/_smoke/a/copy.db#visits"),
    ]
    with closing(sqlite3.connect(tmp_path / "_smoke/a/copy.db")) as found:
        assert [row[0] for row in found.execute("SELECT idem_key FROM visits ORDER BY 1")] == ["k1", "k2"]
    stale = replace(smoke.meta, token=99)
    with pytest.raises(PlanRefused, match="fenced"):
        client.execute_plan(plan, stale)
    client.clean("smoke_a")
    assert not list(tmp_path.rglob("note.md"))
    assert client.objects("smoke_a") == ()


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


# Reads


def test_a_read_in_the_order_of_the_key_goes_through_windows_of_it(lab: BigQueryLab) -> None:
    lab.upsert(*(visit(f"k{number}") for number in range(8)))
    before = len(lab.standin.asked("jobs.insert"))
    assert [row["idem_key"] for row in lab.read()] == [f"k{number}" for number in range(8)]
    # Windows of three rows and pages of two: each window is one job, and not each page.
    assert len(lab.standin.asked("jobs.insert")) - before == 3


def test_pages_of_another_order_come_from_one_job(lab: BigQueryLab) -> None:
    lab.upsert(*(visit(f"k{number}", payload={"n": number % 3}) for number in range(8)))
    before = len(lab.standin.asked("jobs.insert"))
    read = lab.read(order_by=["-payload.n", "-idem_key"], columns=["idem_key"])
    assert [row["idem_key"] for row in read] == ["k5", "k2", "k7", "k4", "k1", "k6", "k3", "k0"]
    assert len(lab.standin.asked("jobs.insert")) - before == 1


def test_a_page_of_one_read_is_none_of_another(lab: BigQueryLab) -> None:
    lab.upsert(*(visit(f"k{number}") for number in range(3)))
    service = DataService(lab.backend)
    asked: dict[str, Any] = {"read": {"dataset": "raw", "table": "raw_objects"}, "limit": 1, "meta": lab.meta.to_dict()}

    def ask(**changes: Any) -> Any:
        return service.handle({"jsonrpc": "2.0", "id": 1, "method": "storacle.query", "params": {**asked, **changes}})

    following = ask()["result"]["next"]
    assert ask(after=following)["result"]["rows"][0]["idem_key"] == "k1"
    smoke = {**asked["meta"], "namespace": "smoke_a"}
    for changes in ({"read": {**asked["read"], "columns": ["idem_key"]}}, {"meta": smoke}):
        if changes.get("meta"):
            # Where there is no such table there are no pages of it either.
            assert ask(after=following, **changes)["result"]["rows"] == []
        else:
            assert ask(after=following, **changes)["error"]["code"] == ErrorCode.INVALID_PARAMS
    foreign, mine = lab.standin.jobs[0].id, following[0]
    for after in (
        [foreign, 1],
        [mine, True],
        [mine, 0],
        [mine, 2**63],
        [mine + "x", 1],
        ["behind", "\ud800"],
        ["behind"],
    ):
        assert ask(after=after)["error"]["code"] == ErrorCode.INVALID_PARAMS, after
    assert len(ask(limit=10**18)["result"]["rows"]) == 3


def test_what_is_unprocessed_is_known_by_the_markers_of_the_run_s_own_namespace(lab: BigQueryLab) -> None:
    lab.upsert(visit("k1"), visit("k2"), visit("k3"))
    hashes = {row["idem_key"]: row["_content_hash"] for row in lab.read(unprocessed="canonize")}
    assert len(hashes) == 3
    mark = {"stage": "canonize", "code_hash": "c1", "result": "ok"}
    lab.upsert(
        {**mark, "idem_key": "k1", "content_hash": hashes["k1"]},
        {**mark, "idem_key": "k2", "content_hash": "of what it said before"},
        table="storacle._processed",
        keys=("stage", "idem_key"),
    )
    assert [row["idem_key"] for row in lab.read(unprocessed="canonize")] == ["k2", "k3"]
    asked = {"stage": "canonize", "code_hash": "c2"}
    assert [row["idem_key"] for row in lab.read(unprocessed=asked)] == ["k1", "k2", "k3"]
    smoke = replace(lab.meta, namespace="smoke_a", read_namespace="prod", token=None)
    read = {"dataset": "raw", "table": "raw_objects", "unprocessed": "canonize"}
    assert [row["idem_key"] for row in lab.client.query(read, smoke)] == ["k1", "k2", "k3"]


def test_rows_of_a_table_that_someone_else_made_can_be_read_and_not_written(
    lab: BigQueryLab, google: bigquery.Client
) -> None:
    lab.upsert(visit())
    google.query_and_wait("CREATE TABLE raw.legacy AS SELECT 1 AS n, 'x' AS t, DATE '2026-01-02' AS d")
    assert lab.read("raw.legacy") == [{"n": 1, "t": "x", "d": "2026-01-02"}]
    with pytest.raises(PlanRefused, match="conflict"):
        lab.upsert({"idem_key": "k"}, table="raw.legacy")


def test_all_rows_of_a_read_come_as_they_were_at_one_moment(lab: BigQueryLab) -> None:
    lab.upsert(*(visit(f"k{number}", payload={"n": number}) for number in range(7)))
    meta = Meta.model_validate(lab.meta.to_dict(), extra="ignore")
    read = parse_read({"dataset": "raw", "table": "raw_objects", "columns": ["idem_key", "payload.n"]}, ())
    with lab.backend.select(read, meta) as selection:
        lab.upsert(visit("k0", payload={"n": 99}))
        assert dict(selection.columns) == {"idem_key": Type.STRING, "payload.n": Type.JSON}
        assert [dict(row) for row in selection.rows] == [
            {"idem_key": f"k{number}", "payload.n": number} for number in range(7)
        ]
    unmade = parse_read({"dataset": "canonical", "table": "canonical_objects", "columns": ["idem_key"]}, ())
    with lab.backend.select(unmade, meta) as selection:
        assert (dict(selection.columns), list(selection.rows)) == ({"idem_key": Type.STRING}, [])
    with (
        pytest.raises(RpcError, match="invalid_params"),
        lab.backend.select(parse_read({"dataset": "raw", "table": "none"}, ()), meta),
    ):
        pass


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


# Tables and namespaces


def test_tables_are_partitioned_clustered_and_labelled(lab: BigQueryLab, google: bigquery.Client) -> None:
    lab.upsert(visit())
    lab.upsert({"idem_key": "k"}, table="raw.others")
    found = google.get_table("raw.raw_objects")
    assert found.clustering_fields == ["source_system", "object_type", "idem_key"]
    assert (found.time_partitioning.type_, found.time_partitioning.field) == ("MONTH", "first_seen")
    assert [field.name for field in found.schema if field.mode == "REQUIRED"] == ["idem_key", "_content_hash"]
    ledger = google.get_table("storacle._ledger")
    assert ledger.clustering_fields == ["key"]
    other = google.get_table("raw.others")
    assert [field.name for field in other.schema] == ["_key", "row", "_content_hash", "_op"]


def test_a_table_gains_the_columns_that_its_declaration_has_gained(lab: BigQueryLab, google: bigquery.Client) -> None:
    lab.upsert({"idem_key": "e"}, table="events.event_log")
    google.query_and_wait("ALTER TABLE events.event_log DROP COLUMN trace_id")
    later = BigQueryLab(lab.standin, backend_for(lab.standin))
    later.upsert({"idem_key": "f", "trace_id": "t"}, table="events.event_log")
    assert [row["trace_id"] for row in later.read("events.event_log")] == [None, "t"]
    later.backend.close()


@pytest.mark.parametrize(
    "columns", ["'e' AS idem_key", "1 AS idem_key, 'h' AS _content_hash, 1 AS _op", "'e' AS idem_key, 'x' AS payload"]
)
def test_a_table_that_somebody_else_made_otherwise_than_it_is_declared_is_left_alone(
    lab: BigQueryLab, google: bigquery.Client, columns: str
) -> None:
    google.create_dataset("events")
    google.query_and_wait(f"CREATE TABLE events.event_log AS SELECT {columns}")
    with pytest.raises(PlanRefused, match="conflict"):
        lab.upsert({"idem_key": "f"}, table="events.event_log")
    with pytest.raises(PermanentError, match="conflict"):
        lab.read("events.event_log")
    assert len(google.get_table("events.event_log").schema) == columns.count(" AS ")


def test_nothing_is_left_of_the_tables_that_rows_were_loaded_into(lab: BigQueryLab, google: bigquery.Client) -> None:
    lab.upsert(visit())
    names = [table.table_id for table in google.list_tables("storacle")]
    assert sorted(names) == ["_ledger", "_runs", "_tables"]
    (made,) = (asked for asked in lab.standin.asked("tables.insert") if "_staged_" in str(asked.body))
    assert int(made.body["expirationTime"]) > 0


def test_a_namespace_is_cleaned_whole_and_alone(lab: BigQueryLab, google: bigquery.Client) -> None:
    lab.upsert(visit())
    smoke = BigQueryLab(lab.standin, lab.backend, meta=replace(META, namespace="smoke_a"))
    smoke.upsert(visit("s"))
    smoke.submit(smoke.any_op("view.create", {"dataset": "views", "table": "v", "sql": "SELECT 1 AS one"}))
    service = DataService(lab.backend)

    def ask(method: str) -> Any:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"namespace": "smoke_a"}}
        answer: Any = service.handle(asked)
        return answer["result"]

    assert ask("namespace.objects")["objects"] == [
        {"kind": "table", "name": "raw.raw_objects"},
        {"kind": "view", "name": "views.v"},
    ]
    google.create_dataset("smoke_a_strange")
    google.query_and_wait("CREATE TABLE smoke_a_raw.strange AS SELECT 1 AS n")
    assert ask("namespace.clean") == {"removed": 2}
    left = {f"{dataset.dataset_id}" for dataset in google.list_datasets()}
    assert left == {"raw", "storacle", "smoke_a_raw", "smoke_a_strange"}
    assert [table.table_id for table in google.list_tables("smoke_a_raw")] == ["strange"]
    assert ask("namespace.objects")["objects"] == []
    assert [row["idem_key"] for row in lab.read()] == ["k1"]
    # And the same backend can write there again.
    smoke = BigQueryLab(lab.standin, lab.backend, meta=replace(META, namespace="smoke_a"))
    assert smoke.upsert(visit("s")) == {"inserted": 1}


def test_datasets_go_by_the_names_that_the_operator_gives_them() -> None:
    with bigquery_lab(datasets={"raw": "acme_raw"}) as lab:
        lab.upsert(visit())
        assert lab.standin.rows("SELECT idem_key FROM acme_raw.raw_objects") == [("k1",)]
        smoke = BigQueryLab(lab.standin, lab.backend, meta=replace(META, namespace="smoke_b"))
        smoke.upsert(visit("s"))
        assert lab.standin.rows("SELECT idem_key FROM smoke_b_raw.raw_objects") == [("s",)]


def test_production_cannot_reach_into_a_smoke_namespace(lab: BigQueryLab) -> None:
    with pytest.raises(PlanRefused, match="forbidden"):
        lab.upsert(visit(), table="smoke_a_raw.raw_objects")
    with pytest.raises(PermanentError, match="forbidden"):
        lab.read("smoke_a_raw.raw_objects")


@pytest.mark.parametrize(
    "settings",
    [
        {"project": "Not A Project"},
        {"datasets": {"raw": "smoke_a_raw"}},
        {"datasets": {"raw": "raw`; DROP"}},
        {"labels": {"team": "Data & Co"}},
    ],
)
def test_settings_that_bigquery_would_not_take_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="bigquery"):
        BigQueryConfig(**{"project": "acme", **settings})


def test_a_resend_is_known_from_the_ledger(lab: BigQueryLab) -> None:
    op = lab.op("table.upsert", [visit()])
    assert [one.status for one in (*lab.submit(op), *lab.submit(op))] == [OpStatus.APPLIED, OpStatus.ALREADY]
    assert lab.effects == 1
