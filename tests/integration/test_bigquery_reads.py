"""How the BigQuery backend answers reads, by Google's own client against a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from google.cloud import bigquery

from lorchestra.storacle import PlanRefused
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import parse_read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Type
from tests.integration.bigquery_lab import BigQueryLab, bigquery_lab, visit
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
