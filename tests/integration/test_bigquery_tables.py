"""How the BigQuery backend makes tables, and removes them with their namespace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from lorchestra.clock import SystemClock
from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.schemas import StoraclePlan
from lorchestra.storacle import OpStatus, PlanRefused, RpcClient
from lorchestra.storacle.backends.bigquery import BigQueryConfig
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.transports import InProcessTransport
from tests.bigquery_plane import backend_for
from tests.integration.bigquery_lab import META, BigQueryLab, bigquery_lab, visit
from tests.standins.bigquery.client import connect


@pytest.fixture
def lab() -> Iterator[BigQueryLab]:
    with bigquery_lab() as lab:
        yield lab


@pytest.fixture
def google(lab: BigQueryLab) -> Iterator[bigquery.Client]:
    """Google's client of somebody else."""
    with connect(lab.standin) as client:
        yield client


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
