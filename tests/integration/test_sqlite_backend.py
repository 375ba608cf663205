"""What only the SQLite backend promises: declared tables, and a file that processes share and that outlives them."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import PlanRefused, RpcClient
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.transports import InProcessTransport
from tests.integration.plan_process import META, contents, mixed_plan, send

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


# Declared tables


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


def test_all_is_in_one_private_file(lab: Lab, tmp_path: Path) -> None:
    lab.upsert(visit())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in tmp_path.iterdir()} == {"data.db"}


# The file


def test_a_file_of_a_newer_version(tmp_path: Path) -> None:
    SqliteBackend(tmp_path / "data.db").close()
    with sqlite3.connect(tmp_path / "data.db") as connection:
        connection.execute("INSERT INTO _schema_version VALUES (99, 'later')")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"newer lorchestra \(version 99.*upgrade"):
        SqliteBackend(tmp_path / "data.db")


def test_a_database_of_something_else(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data.db") as connection:
        connection.execute("CREATE TABLE songs (name)")
    connection.close()
    with pytest.raises(ConfigurationError, match="something else"):
        SqliteBackend(tmp_path / "data.db")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "data.db").write_bytes(b"a note" * 100)
    with pytest.raises(ConfigurationError, match="no SQLite file"):
        SqliteBackend(tmp_path / "data.db")


def test_a_forked_process_is_told_to_open_the_file_itself(lab: Lab) -> None:
    child = os.fork()
    if child == 0:
        try:
            lab.read()
        except PermanentError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# Several processes, and none


def _write(path: Path, name: str, rounds: int) -> None:
    backend = SqliteBackend(path)
    client = RpcClient(InProcessTransport(DataService(backend)))
    meta = replace(META, run_id=name)
    meta = replace(meta, token=client.open_run(meta))
    for number in range(rounds):
        rows = [visit(f"{name}-{number}-{row}") for row in range(20)]
        params = {"dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"], "rows": rows}
        op = StoracleOp(op_id="a", method="table.upsert", params=params, idempotency_key=f"{name}-{number}")
        client.execute_plan(StoraclePlan(correlation_id=name, ops=(op,)), meta)
    backend.close()


def test_eight_processes_write_at_once_without_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(path, f"w{number}", 25)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 8
    assert contents(path)["effects"] == 200
    assert len(contents(path)["raw_objects"]) == 4000


def test_sixteen_clients_that_send_the_same_plan_at_once_have_one_effect(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "data.db")
    service = DataService(backend)
    meta = replace(META, token=RpcClient(InProcessTransport(service)).open_run(META))
    plan = mixed_plan(7, ops=40)
    errors: list[BaseException] = []

    def submit() -> None:
        try:
            RpcClient(InProcessTransport(service)).execute_plan(plan, meta)
        except BaseException as error:  # noqa: BLE001  (what the test asks for)
            errors.append(error)

    threads = [threading.Thread(target=submit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    backend.close()
    send(tmp_path / "undisturbed.db", plan)
    assert errors == []
    assert contents(tmp_path / "data.db") == contents(tmp_path / "undisturbed.db")


def _process(path: Path, seed: int, most_bytes: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integration.plan_process", str(path), str(seed), str(most_bytes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _kill_until_done(path: Path, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    for number in range(kills + 1):
        with _process(path, seed) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            if number < kills:
                time.sleep(chance.random() * 0.15)
                process.kill()
            else:
                assert process.wait(60) == 0


@pytest.mark.parametrize("seed", range(2))
def test_a_plan_whose_process_is_killed_and_sent_again_ends_as_an_undisturbed_one(tmp_path: Path, seed: int) -> None:
    _kill_until_done(tmp_path / "data.db", seed, kills=4)
    send(tmp_path / "undisturbed.db", mixed_plan(seed))
    assert contents(tmp_path / "data.db") == contents(tmp_path / "undisturbed.db")


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(10, 22))
def test_many_kills(tmp_path: Path, seed: int) -> None:
    _kill_until_done(tmp_path / "data.db", seed, kills=15)
    send(tmp_path / "undisturbed.db", mixed_plan(seed))
    assert contents(tmp_path / "data.db") == contents(tmp_path / "undisturbed.db")


def test_a_full_disk_refuses_the_op_and_the_plan_completes_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    SqliteBackend(path).close()
    with _process(path, 3, most_bytes=400_000) as process:
        assert process.stdout is not None
        assert process.stdout.read().split() == ["begun", str(int(ErrorCode.STORAGE_FULL))]
    assert process.returncode == 3
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()

    send(path, mixed_plan(3))
    send(tmp_path / "undisturbed.db", mixed_plan(3))
    assert contents(path) == contents(tmp_path / "undisturbed.db")
