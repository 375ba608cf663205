"""What the SQLite file keeps of ops, and for how long; and what becomes of tables when their declaration grows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lorchestra.json_value import JSONObject
from lorchestra.plan_builder import build_plan_from_items
from lorchestra.storacle import RpcClient, ledger
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.tables import Column, Table, by_name
from lorchestra.storacle.transports import InProcessTransport
from tests.data_plane import DataPlane
from tests.integration.plan_process import META

KEY = ("idem_key",)


def test_ledger_says_which_run_job_and_code_wrote_a_row(tmp_path: Path) -> None:
    with DataPlane(tmp_path / "data.db") as data:
        client = RpcClient(InProcessTransport(data))
        meta = replace(META, run_id="01A", job_id="load", job_version="2.3", step_id="write", code_sha256="c0de")
        meta = replace(meta, token=client.open_run(meta))
        rows: list[JSONObject] = [{"idem_key": "a", "payload": {"n": 1}}, {"idem_key": "b"}]
        plan = build_plan_from_items(rows, "01A", "table.upsert", dataset="raw", table="raw_objects", key_columns=KEY)
        client.execute_plan(plan, meta)
        [written] = ledger.find(client, meta, "a")
        [op] = ledger.find(client, meta, plan.ops[0].idempotency_key)
    assert written.table == "raw.raw_objects"
    assert written.op == op.op
    assert written.op is not None
    told = {name: written.op[name] for name in ("run_id", "job_id", "job_version", "step_id", "code_sha256", "method")}
    assert list(told.values()) == ["01A", "load", "2.3", "write", "c0de", "table.upsert"]
    assert written.op["content_sha256"] == plan.ops[0].content_sha256


def test_row_belongs_to_the_op_that_changed_it_last_and_not_to_one_that_saw_it(tmp_path: Path) -> None:
    with DataPlane(tmp_path / "data.db") as data:
        client = RpcClient(InProcessTransport(data))
        for table, key in (("raw_objects", "idem_key"), ("own", "idem_key")):
            for number, text in enumerate(("x", "y", "y")):
                meta = replace(META, run_id=f"{table}{number}")
                meta = replace(meta, token=client.open_run(meta))
                rows: list[JSONObject] = [{key: f"{table}-a", "external_id": text}]
                target: dict[str, Any] = {"dataset": "raw", "table": table, "key_columns": (key,)}
                client.execute_plan(build_plan_from_items(rows, meta.run_id, "table.upsert", **target), meta)
            [written] = ledger.find(client, meta, f"{table}-a")
            assert written.op is not None
            assert written.op["run_id"] == f"{table}1"


def test_ledger_forgets_ops_of_long_ago_and_keeps_their_rows(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    backend = SqliteBackend(tmp_path / "data.db", now=lambda: now, ledger_kept=timedelta(days=30))
    client = RpcClient(InProcessTransport(DataService(backend)))
    for days in (0, 20, 20):
        now += timedelta(days=days)
        meta = replace(META, run_id=f"run at {now}")
        meta = replace(meta, token=client.open_run(meta))
        rows = [{"idem_key": str(now)}]
        plan = build_plan_from_items(rows, meta.run_id, "table.upsert", dataset="raw", table="own", key_columns=KEY)
        client.execute_plan(plan, meta)
    assert backend.effects == 2
    assert len(list(client.query({"dataset": "raw", "table": "own"}, META))) == 3
    backend.close()


def test_column_that_a_later_version_declares_is_added_to_the_table(tmp_path: Path) -> None:
    def opened(*columns: str) -> tuple[SqliteBackend, RpcClient]:
        table = Table(dataset="raw", name="own", columns=tuple(map(Column, columns)), key_columns=KEY)
        backend = SqliteBackend(tmp_path / "data.db", tables=by_name([table]))
        return backend, RpcClient(InProcessTransport(DataService(backend)))

    for number, columns in enumerate((["idem_key", "a"], ["idem_key", "a", "b"])):
        backend, client = opened(*columns)
        meta = replace(META, run_id=f"run{number}")
        meta = replace(meta, token=client.open_run(meta))
        rows = [{"idem_key": f"k{number}", **dict.fromkeys(columns[1:], "x")}]
        plan = build_plan_from_items(rows, meta.run_id, "table.upsert", dataset="raw", table="own", key_columns=KEY)
        client.execute_plan(plan, meta)
        found = list(client.query({"dataset": "raw", "table": "own"}, META))
        backend.close()
    assert found == [{"idem_key": "k0", "a": "x", "b": None}, {"idem_key": "k1", "a": "x", "b": "x"}]
