"""The stand-in of BigQuery as the real client library sees it: resources, loads, queries, scripts."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httplib2  # type: ignore[import-untyped]  # it has no types of its own
import httpx
import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound, PreconditionFailed
from google.cloud import bigquery
from google.cloud.bigquery import (
    ArrayQueryParameter,
    QueryJobConfig,
    ScalarQueryParameter,
    SchemaField,
    StructQueryParameter,
)
from googleapiclient.discovery import build_from_document  # type: ignore[import-untyped]  # it has no types

from tests.standins.bigquery import BigQueryStandIn, discovery
from tests.standins.bigquery.client import connect

SCHEMA = [
    SchemaField("id", "INT64", "REQUIRED"),
    SchemaField("name", "STRING", description="what it is called"),
    SchemaField("seen", "TIMESTAMP"),
    SchemaField("payload", "JSON"),
]
ROWS = [{"id": n, "name": f"n{n}", "seen": "2026-01-01T00:00:00+00:00", "payload": {"n": n}} for n in range(5)]


@pytest.fixture
def standin() -> Iterator[BigQueryStandIn]:
    with BigQueryStandIn() as standin:
        yield standin


@pytest.fixture
def client(standin: BigQueryStandIn) -> Iterator[bigquery.Client]:
    with connect(standin) as client:
        client.create_dataset("raw")
        yield client


@pytest.fixture
def table(client: bigquery.Client) -> bigquery.Table:
    return client.create_table(bigquery.Table(f"{client.project}.raw.objects", SCHEMA))


@pytest.fixture
def loaded(client: bigquery.Client, table: bigquery.Table) -> bigquery.Table:
    client.load_table_from_json(ROWS, table).result()
    return table


def answer(client: bigquery.Client, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    config = QueryJobConfig(query_parameters=parameters)
    return [row.values() for row in client.query(sql, job_config=config).result()]


def test_datasets_are_made_listed_changed_and_deleted(client: bigquery.Client) -> None:
    with pytest.raises(Conflict, match="Already Exists"):
        client.create_dataset("raw")
    dataset = client.get_dataset("raw")
    dataset.labels = {"purpose": "test"}
    assert client.update_dataset(dataset, ["labels"]).labels == {"purpose": "test"}
    assert [item.dataset_id for item in client.list_datasets()] == ["raw"]
    client.create_table(bigquery.Table(f"{client.project}.raw.t", SCHEMA))
    with pytest.raises(BadRequest, match="still in use"):
        client.delete_dataset("raw")
    client.delete_dataset("raw", delete_contents=True)
    with pytest.raises(NotFound):
        client.get_dataset("raw")


def test_a_table_keeps_its_schema_partitioning_clustering_and_labels(client: bigquery.Client) -> None:
    asked = bigquery.Table(f"{client.project}.raw.t", SCHEMA)
    asked.time_partitioning = bigquery.TimePartitioning(field="seen")
    asked.clustering_fields = ["id", "name"]
    asked.labels = {"owner": "me"}
    client.create_table(asked)
    found = client.get_table("raw.t")
    assert [(field.name, field.field_type, field.mode) for field in found.schema] == [
        ("id", "INTEGER", "REQUIRED"),
        ("name", "STRING", "NULLABLE"),
        ("seen", "TIMESTAMP", "NULLABLE"),
        ("payload", "JSON", "NULLABLE"),
    ]
    assert found.schema[1].description == "what it is called"
    assert found.time_partitioning.field == "seen"
    assert found.clustering_fields == ["id", "name"]
    assert found.labels == {"owner": "me"}
    client.delete_table(found)
    assert list(client.list_tables("raw")) == []


def test_a_patch_adds_columns_and_only_to_the_table_it_was_read_from(
    client: bigquery.Client, loaded: bigquery.Table
) -> None:
    stale = client.get_table(loaded)
    fresh = client.get_table(loaded)
    fresh.schema = [*fresh.schema, SchemaField("extra", "NUMERIC")]
    assert [field.name for field in client.update_table(fresh, ["schema"]).schema][-1] == "extra"
    with pytest.raises(PreconditionFailed):
        client.update_table(stale, ["schema"])
    fresh = client.get_table(loaded)
    fresh.schema = fresh.schema[:1]
    with pytest.raises(BadRequest, match="does not match"):
        client.update_table(fresh, ["schema"])


def test_a_view_is_a_table_that_follows_its_query(client: bigquery.Client, loaded: bigquery.Table) -> None:
    view = bigquery.Table(f"{client.project}.raw.names")
    view.view_query = f"SELECT name FROM `{client.project}.raw.objects` WHERE id > 2"
    client.create_table(view)
    answer(client, "CREATE OR REPLACE VIEW raw.ids AS SELECT id FROM raw.objects")
    assert answer(client, "SELECT name FROM raw.names ORDER BY name") == [("n3",), ("n4",)]
    assert {item.table_id: item.table_type for item in client.list_tables("raw")} == {
        "ids": "VIEW",
        "names": "VIEW",
        "objects": "TABLE",
    }
    assert client.get_table("raw.ids").view_query == "SELECT id FROM raw.objects"


def test_rows_are_loaded_in_one_request_and_in_chunks(
    standin: BigQueryStandIn, client: bigquery.Client, table: bigquery.Table
) -> None:
    client.load_table_from_json(ROWS, table).result()
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=SCHEMA)
    lines = "\n".join(json.dumps(row) for row in ROWS).encode()
    job = client.load_table_from_file(io.BytesIO(lines), table, job_config=config)
    job.result()
    assert job.output_rows == 5
    assert client.load_table_from_file(io.BytesIO(lines), table, size=len(lines), job_config=config).result()
    assert client.get_table(table).num_rows == 15
    kinds = [request.query["uploadType"] for request in standin.asked("jobs.insert")]
    assert kinds == ["multipart", "resumable", "multipart"]
    assert any(request.verb == "PUT" for request in standin.requests)


def test_an_upload_goes_on_after_the_chunk_that_arrived(
    standin: BigQueryStandIn, client: bigquery.Client, table: bigquery.Table
) -> None:
    load = {"destinationTable": table.reference.to_api_repr(), "sourceFormat": "NEWLINE_DELIMITED_JSON"}
    start = f"{standin.url}/upload/bigquery/v2/projects/{standin.project}/jobs?uploadType=resumable"
    reference = {"projectId": standin.project, "jobId": "load-1", "location": "US"}
    opened = httpx.post(start, json={"jobReference": reference, "configuration": {"load": load}})
    data = "\n".join(json.dumps(row) for row in ROWS).encode()
    session, total = opened.headers["location"], len(data)

    def send(content: bytes, content_range: str) -> httpx.Response:
        return httpx.put(session, content=content, headers={"Content-Range": content_range})

    first = send(data[:100], "bytes 0-99/*")
    assert (first.status_code, first.headers["range"]) == (308, "bytes=0-99")
    assert send(b"", f"bytes */{total}").headers["range"] == "bytes=0-99"
    assert send(data[150:], f"bytes 150-{total - 1}/{total}").status_code == 400
    last = send(data[100:], f"bytes 100-{total - 1}/{total}")
    assert last.json()["jobReference"]["jobId"] == "load-1"
    assert send(b"", f"bytes */{total}").json() == last.json()
    client.get_job("load-1").result()
    assert client.get_table(table).num_rows == 5


def test_write_dispositions_append_replace_or_refuse(client: bigquery.Client, loaded: bigquery.Table) -> None:
    def load(disposition: str) -> int:
        config = bigquery.LoadJobConfig(write_disposition=disposition, schema=SCHEMA)
        client.load_table_from_json(ROWS[:1], loaded, job_config=config).result()
        return int(client.get_table(loaded).num_rows)

    assert load("WRITE_APPEND") == 6
    assert load("WRITE_TRUNCATE") == 1
    with pytest.raises(Conflict, match="Already Exists"):
        load("WRITE_EMPTY")


def test_a_bad_row_fails_the_load_and_leaves_nothing(client: bigquery.Client, table: bigquery.Table) -> None:
    for bad in ({"id": None}, {"id": 7, "unknown": 1}, {"id": "seven"}):
        with pytest.raises(BadRequest, match="Error while reading data"):
            client.load_table_from_json([*ROWS, bad], table).result()
    assert client.get_table(table).num_rows == 0


def test_rows_are_listed_in_pages(standin: BigQueryStandIn, client: bigquery.Client, loaded: bigquery.Table) -> None:
    standin.rows_per_page = 2
    rows = list(client.list_rows(loaded))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert [row.values() for row in rows] == [(n, f"n{n}", moment, {"n": n}) for n in range(5)]
    assert len(standin.asked("tabledata.list")) == 3
    selected = client.list_rows(loaded, selected_fields=[SCHEMA[1]], start_index=3)
    assert [row.values() for row in selected] == [("n3",), ("n4",)]


def test_results_of_a_query_come_in_pages(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    job = client.query("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 7)) AS n ORDER BY n")
    assert [row.n for row in job.result(page_size=3)] == [1, 2, 3, 4, 5, 6, 7]
    assert len([asked for asked in standin.asked("jobs.getQueryResults") if "pageToken" in asked.query]) == 2
    assert job.total_bytes_processed == 0


def test_parameters_are_named_or_positional_scalars_or_arrays(client: bigquery.Client, loaded: bigquery.Table) -> None:
    by_name = "SELECT id FROM raw.objects WHERE id IN UNNEST(@ids) AND seen >= @seen AND name != @name ORDER BY id"
    moment = datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert answer(
        client,
        by_name,
        ArrayQueryParameter("ids", "INT64", [1, 2, 3]),
        ScalarQueryParameter("seen", "TIMESTAMP", moment),
        ScalarQueryParameter("name", "STRING", "n2"),
    ) == [(1,), (3,)]
    by_place = "SELECT id FROM raw.objects WHERE id > ? AND name IN UNNEST(?)"
    places = (ScalarQueryParameter(None, "INT64", 1), ArrayQueryParameter(None, "STRING", ["n1", "n4"]))
    assert answer(client, by_place, *places) == [(4,)]
    record = StructQueryParameter(
        None, ScalarQueryParameter("id", "INT64", 4), ScalarQueryParameter("w", "STRING", "x")
    )
    records = ArrayQueryParameter("records", "STRUCT", [record])
    assert answer(client, "SELECT id, r.w FROM UNNEST(@records) AS r", records) == [(4, "x")]
    with pytest.raises(BadRequest, match="'missing' not found"):
        answer(client, "SELECT @missing", ScalarQueryParameter("other", "INT64", 1))


def test_values_of_every_type_travel_both_ways(client: bigquery.Client) -> None:
    values: dict[str, Any] = {
        "INT64": -(2**60),
        "FLOAT64": 0.1,
        "NUMERIC": Decimal("12345678901234567890.123456789"),
        "STRING": "naïve 'text'",
        "BOOL": True,
        "DATE": date(2026, 2, 28),
        "TIMESTAMP": datetime(2026, 1, 1, 1, 2, 3, 456789, tzinfo=UTC),
        "BYTES": b"\x00\xff",
        "JSON": {"a": [1, None]},
    }
    for kind, value in values.items():
        assert answer(client, "SELECT @v", ScalarQueryParameter("v", kind, value)) == [(value,)]
        assert answer(client, "SELECT @v", ScalarQueryParameter("v", kind, None)) == [(None,)]
    nested = "SELECT [1, 2] AS list, STRUCT('x' AS s, TIMESTAMP '2026-01-01 02:00:00+02' AS t) AS record"
    assert answer(client, nested) == [([1, 2], {"s": "x", "t": datetime(2026, 1, 1, tzinfo=UTC)})]


def test_statements_say_how_many_rows_they_changed(client: bigquery.Client, loaded: bigquery.Table) -> None:
    merge = """
        MERGE raw.objects AS t USING (SELECT 1 AS id, 'new' AS name UNION ALL SELECT 9, 'nine') AS s ON t.id = s.id
        WHEN MATCHED AND t.name IS DISTINCT FROM s.name THEN UPDATE SET name = s.name
        WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)
        WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN DELETE
    """
    job = client.query(merge)
    job.result()
    assert job.statement_type == "MERGE"
    assert job.num_dml_affected_rows == 3
    stats = job.dml_stats
    assert stats is not None
    assert (stats.inserted_row_count, stats.updated_row_count, stats.deleted_row_count) == (1, 1, 1)
    again = client.query_and_wait("DELETE FROM raw.objects WHERE id IN (1, 9)")
    assert again.num_dml_affected_rows == 2
    with pytest.raises(BadRequest, match="more than once"):
        answer(client, merge.replace("SELECT 9", "SELECT 2").replace("s ON t.id = s.id", "s ON t.id > 0"))


def test_what_bigquery_is_strict_about_is_refused(client: bigquery.Client, loaded: bigquery.Table) -> None:
    for sql, message in (
        ("UPDATE raw.objects SET id = 1", "WHERE"),
        ("SELECT * FROM objects", "must be qualified"),
        ("SELECT nothing FROM raw.objects", "nothing"),
        ("SELECT FROM WHERE", "Syntax error"),
        ("BEGIN TRANSACTION; CREATE TABLE raw.t (a INT64); COMMIT TRANSACTION", "inside a transaction"),
    ):
        with pytest.raises(BadRequest, match=message):
            answer(client, sql)
    with pytest.raises(MethodNotImplemented, match="farm_fingerprint"):
        answer(client, "SELECT FARM_FINGERPRINT('a')")
    with pytest.raises(NotFound, match=r"raw\.missing"):
        answer(client, "SELECT * FROM raw.missing")


def test_statements_declare_tables_as_the_api_does(client: bigquery.Client) -> None:
    ddl = """
        CREATE TABLE IF NOT EXISTS raw.t (id INT64 NOT NULL OPTIONS (description = 'the key'), at TIMESTAMP)
        PARTITION BY DATE(at) CLUSTER BY id OPTIONS (description = 'all of it', labels = [('owner', 'me')])
    """
    answer(client, ddl)
    answer(client, ddl)
    found = client.get_table("raw.t")
    assert (found.schema[0].mode, found.schema[0].description) == ("REQUIRED", "the key")
    assert (found.description, found.labels) == ("all of it", {"owner": "me"})
    columns = "SELECT column_name, data_type FROM raw.INFORMATION_SCHEMA.COLUMNS ORDER BY ordinal_position"
    assert answer(client, columns) == [("id", "INT64"), ("at", "TIMESTAMP")]
    assert found.time_partitioning.field == "at"
    assert found.clustering_fields == ["id"]
    answer(client, "CREATE SCHEMA IF NOT EXISTS smoke_x")
    assert [item.dataset_id for item in client.list_datasets()] == ["raw", "smoke_x"]
    config = QueryJobConfig(destination=f"{client.project}.raw.copy", write_disposition="WRITE_TRUNCATE")
    assert [row.values() for row in client.query("SELECT 1 AS one", job_config=config).result()] == [(1,)]
    assert client.get_table("raw.copy").num_rows == 1


def test_json_is_taken_apart_and_put_together(client: bigquery.Client) -> None:
    sql = """
        SELECT JSON_SET(j, '$.a', JSON_QUERY(j, '$.b'), '$.new', 'text'), JSON_SET(JSON '{}', '$.n', NULL),
            JSON_TYPE(JSON_QUERY(j, '$.a')), JSON_TYPE(JSON_QUERY(j, '$.b')), JSON_TYPE(JSON_QUERY(j, '$.c')),
            JSON_TYPE(JSON_QUERY(j, '$.d')), JSON_TYPE(j)
        FROM (SELECT JSON '{"d": null, "c": "x", "b": [true], "a": 1}' AS j)
    """
    assert answer(client, sql) == [
        (
            {"a": [True], "b": [True], "c": "x", "d": None, "new": "text"},
            {"n": None},
            *("number", "array", "string", "null", "object"),
        )
    ]
    assert answer(client, "SELECT JSON_TYPE(JSON_QUERY(JSON '{}', '$.none'))") == [(None,)]
    with pytest.raises(MethodNotImplemented, match="JSON_SET"):
        answer(client, "SELECT JSON_SET(JSON '{}', '$.a.b', 1)")


def test_of_several_who_make_a_table_at_once_one_does(client: bigquery.Client) -> None:
    told: list[bool] = []

    def make() -> None:
        try:
            client.create_table(bigquery.Table(f"{client.project}.raw.t", SCHEMA))
            told.append(True)
        except Conflict:
            told.append(False)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 7 + [True]


def test_a_view_keeps_its_labels(client: bigquery.Client) -> None:
    answer(client, "CREATE VIEW raw.v OPTIONS (labels = [('owner', 'me')]) AS SELECT 1 AS one")
    assert client.get_table("raw.v").labels == {"owner": "me"}


def test_a_malformed_request_is_refused_and_says_where(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    root = f"{standin.url}/bigquery/v2/projects/{standin.project}"
    query: dict[str, Any] = {"query": "SELECT 1", "useLegacySql": False}
    for path, body, message in (
        ("/jobs", {"configuration": {"query": {**query, "colour": "red"}}}, "configuration.query.colour"),
        ("/queries", {**query, "useQueryCache": "perhaps"}, "QueryRequest.useQueryCache"),
        ("/queries", {**query, "maxResults": "many"}, "QueryRequest.maxResults"),
        ("/queries?colour=red", query, "'colour'"),
        ("/queries", {**query, "queryParameters": [{"parameterType": {"kind": "INT64"}}]}, "[0].parameterType.kind"),
    ):
        response = httpx.post(root + path, json=body)
        assert response.status_code == 400
        error = response.json()["error"]
        assert message in error["message"]
        assert (error["status"], error["errors"][0]["reason"]) == ("INVALID_ARGUMENT", "invalid")
    refused = httpx.post(f"{root}/queries", json={**query, "createSession": True})
    assert (refused.status_code, refused.json()["error"]["errors"][0]["reason"]) == (501, "notImplemented")
    assert httpx.get(f"{root}/nothing").status_code == 404


def test_an_answer_that_the_document_does_not_know_fails_the_test() -> None:
    method = next(method for method in discovery.methods() if method.name == "tables.get")
    mistakes = discovery.answer_mistakes(method, {"numRows": 5, "schema": {"fields": [{"nom": "x"}]}, "labels": None})
    assert mistakes == [
        "Table.numRows is no uint64 but int",
        "Table.schema.fields[0].nom is not a field of the API",
        "Table.labels is null",
    ]
    standin = BigQueryStandIn()
    with pytest.raises(AssertionError, match="made up"), standin:
        standin.violations.append("made up")


def test_googles_other_client_can_list_datasets(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    http = httplib2.Http()
    options = {"api_endpoint": f"{standin.url}/bigquery/v2/"}
    service = build_from_document(discovery.document(), http=http, client_options=options)
    listed = service.datasets().list(projectId=standin.project).execute()
    assert [dataset["id"] for dataset in listed["datasets"]] == [f"{standin.project}:raw"]
    service.close()
