"""Events of other programs: appended through storacle, or through a client like BigQuery's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.stack_clients.event_client import StoracleInserter, emit, log_event
from lorchestra.storacle import RpcClient, RpcMeta
from lorchestra.storacle.transports import InProcessTransport, RecordingTransport
from tests.data_plane import DataPlane

META = RpcMeta(job_id="pull", run_id="r1", step_id="run", correlation_id="c1", ts="2026-01-01T00:00:00Z")
PLACE = {"BQ_EVENTS_DATASET": "events", "BQ_EVENTS_TABLE": "job_events"}
SECRET = "Jane Doe"


class Inserting:
    """What a client of BigQuery does with rows."""

    def __init__(self, problems: list[Any] | None = None) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self._problems = problems or []

    def insert_rows_json(self, table: str, json_rows: list[dict[str, Any]]) -> list[Any]:
        self.rows += [(table, row) for row in json_rows]
        return self._problems


def test_emit_inserts_one_row_with_the_three_fields() -> None:
    client = Inserting()
    emit(bq_client=client, event_type="extraction.started", source="pkg/pull", data={"account": "a"}, environ=PLACE)
    row = {"event_type": "extraction.started", "source": "pkg/pull", "data": {"account": "a"}}
    assert client.rows == [("events.job_events", row)]


@pytest.mark.parametrize("missing", PLACE)
def test_emit_says_which_variable_is_missing(missing: str) -> None:
    environ = {name: value for name, value in PLACE.items() if name != missing}
    with pytest.raises(ConfigurationError, match=missing):
        emit(bq_client=Inserting(), event_type="a", source="b", data={}, environ=environ)


def test_emit_does_not_quote_what_the_client_says_of_the_row() -> None:
    client = Inserting([{"errors": [f"no such column: {SECRET}"]}])
    with pytest.raises(PermanentError) as caught:
        emit(bq_client=client, event_type="a", source="b", data={"name": SECRET}, environ=PLACE)
    assert SECRET not in str(caught.value)


def test_what_is_emitted_through_storacle_is_a_row_of_the_table_named() -> None:
    with DataPlane() as data:
        recorder = RecordingTransport(InProcessTransport(data))
        inserter = StoracleInserter(RpcClient(recorder), META)
        for _ in range(2):
            emit(bq_client=inserter, event_type="a", source="pkg/b", data={"n": 1}, environ=PLACE)
        rows = data.rows("events", "job_events")
    assert [(row["event_type"], row["source"], row["data"]) for row in rows] == [("a", "pkg/b", {"n": 1})] * 2
    requests: list[Any] = [exchange.request for exchange in recorder.exchanges]
    assert {request["jsonrpc"] for request in requests} == {"2.0"}


def test_logged_event_is_a_row_of_the_event_log_and_the_same_id_is_the_same_event() -> None:
    with DataPlane() as data:
        client = RpcClient(InProcessTransport(data))
        meta = replace(META, token=client.open_run(META))
        told_twice: dict[str, Any] = {"event_type": "ingest.completed", "source_system": "gmail", "payload": {"n": 3}}
        for _ in range(2):
            log_event(client, meta, event_id="e1", **told_twice)
        log_event(client, meta, event_type="ingest.completed", source_system="gmail")
        rows = data.rows("events", "event_log")
    told = [row for row in rows if row["idem_key"] == "e1"]
    assert len(rows) == 2
    assert [(row["event_type"], row["source_system"], row["run_id"], row["payload"]) for row in told] == [
        ("ingest.completed", "gmail", "r1", {"n": 3})
    ]
