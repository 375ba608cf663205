"""A copy whose source has not moved is left without reading it; and only then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import RpcClient, RpcMeta
from lorchestra.storacle.backends.base import Selection
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.methods import copies
from lorchestra.storacle.outward.base import Reach
from lorchestra.storacle.outward.methods.copies import CopyMethod
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import Read, parse_read
from lorchestra.storacle.tables import Type
from lorchestra.storacle.transports import InProcessTransport

META = RpcMeta(job_id="j", run_id="r", step_id="s", correlation_id="r", ts="2026-01-01T00:00:00+00:00")
RAW = {"dataset": "raw", "table": "raw_objects", "columns": ["idem_key", "external_id"]}
PLAIN = {"dataset": "lab", "table": "people", "columns": ["k", "v"]}
VIEW = {"dataset": "derived", "table": "seen"}
OUTER = {"dataset": "derived", "table": "outer"}


class Data:
    def __init__(self) -> None:
        self.backend = SqliteBackend(None)
        self._client = RpcClient(InProcessTransport(DataService(self.backend)))
        self._numbers = count()
        self.raw(range(4))
        self.do("table.upsert", dataset="lab", table="people", key_columns=["k"], rows=[{"k": 1, "v": 1}])
        self.view("seen", "SELECT idem_key, external_id FROM raw.raw_objects")
        self.view("outer", "SELECT COUNT(*) AS found FROM derived.seen")

    def do(self, method: str, *, namespace: str = "prod", **params: Any) -> dict[str, int]:
        meta = replace(META, namespace=namespace)
        meta = replace(meta, token=self._client.open_run(meta))
        op = StoracleOp(op_id="op", method=method, params=params, idempotency_key=f"{next(self._numbers)}")
        (result,) = self._client.execute_plan(StoraclePlan(correlation_id="r", ops=(op,)), meta)
        return dict(result.counts)

    def raw(self, numbers: range, text: str = "a", **options: Any) -> None:
        rows = [{"idem_key": f"k{number}", "external_id": text} for number in numbers]
        self.do("table.upsert", dataset="raw", table="raw_objects", key_columns=["idem_key"], rows=rows, **options)

    def drop(self, key: str) -> None:
        rows = [{"idem_key": key}]
        self.do("table.delete", dataset="raw", table="raw_objects", key_columns=["idem_key"], rows=rows)

    def view(self, name: str, sql: str) -> bool:
        """Whether it had to be made."""
        return self.do("view.create", dataset="derived", table=name, sql=sql)["created"] == 1

    def version(self, read: dict[str, Any], namespace: str = "prod") -> str | None:
        with self.backend.select(parse_read(read, ()), Meta(run_id="r", namespace=namespace)) as selection:
            return selection.version


@pytest.fixture
def data() -> Iterator[Data]:
    data = Data()
    yield data
    data.backend.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.raw(range(4, 5)),
        lambda data: data.raw(range(1), "b"),
        lambda data: data.drop("k3"),
        lambda data: (data.drop("k3"), data.raw(range(3, 4))),
        lambda data: (data.raw(range(1), "b"), data.raw(range(1), "a")),
    ],
)
def test_a_change_of_a_table_is_one_of_what_reads_it(data: Data, change: Callable[[Data], object]) -> None:
    reads = (RAW, VIEW, OUTER)
    before = [data.version(read) for read in reads]
    plain = data.version(PLAIN)

    change(data)

    after = [data.version(read) for read in reads]
    assert None not in before
    assert not set(before) & set(after)
    assert data.version(PLAIN) == plain is not None


def test_what_is_written_again_the_same_is_no_change(data: Data) -> None:
    before = [data.version(read) for read in (RAW, VIEW, OUTER)]
    data.raw(range(4))
    data.view("seen", "SELECT idem_key, external_id FROM raw.raw_objects")
    assert [data.version(read) for read in (RAW, VIEW, OUTER)] == before


def test_another_query_is_a_change_also_of_what_reads_the_view(data: Data) -> None:
    before = [data.version(read) for read in (VIEW, OUTER)]
    data.view("seen", "SELECT idem_key, external_id FROM raw.raw_objects WHERE idem_key > 'k1'")
    assert not set(before) & {data.version(read) for read in (VIEW, OUTER)}


def test_a_table_of_any_rows_has_a_version_too(data: Data) -> None:
    before = data.version(PLAIN)
    data.do("table.upsert", dataset="lab", table="people", key_columns=["k"], rows=[{"k": 1, "v": 2}])
    assert data.version(PLAIN) != before


@pytest.mark.parametrize(
    "read",
    [
        {**RAW, "columns": None},
        {**RAW, "columns": ["idem_key", "last_seen"]},
        {**RAW, "where": {"first_seen": {"gt": "2026-01-01T00:00:00Z"}}},
        {**RAW, "order_by": ["correlation_id"]},
        {"dataset": "derived", "table": "when"},
        {"dataset": "derived", "table": "result"},
        {"dataset": "derived", "table": "of_result"},
        {"dataset": "storacle", "table": "_ledger"},
    ],
)
def test_what_may_change_without_a_tag_has_no_version(data: Data, read: dict[str, Any]) -> None:
    data.view("when", "SELECT MAX(last_seen) AS seen FROM raw.raw_objects")
    data.do("sql.execute", sql="CREATE OR REPLACE TABLE derived.result AS SELECT idem_key FROM raw.raw_objects")
    data.view("of_result", "SELECT idem_key FROM derived.result")
    assert data.version(read) is None


def test_each_namespace_has_versions_of_its_own(data: Data) -> None:
    data.raw(range(4), namespace="smoke_trial")
    assert data.version(RAW, "smoke_trial") not in (None, data.version(RAW))


def test_a_view_of_the_same_text_is_made_anew_when_what_it_reads_has_other_columns(data: Data) -> None:
    query = "SELECT * FROM derived.result"
    data.do("sql.execute", sql="CREATE OR REPLACE TABLE derived.result AS SELECT idem_key AS a FROM raw.raw_objects")
    assert [data.view("all_of_it", query), data.view("all_of_it", query)] == [True, False]

    data.do("sql.execute", sql="CREATE OR REPLACE TABLE derived.result AS SELECT idem_key AS b FROM raw.raw_objects")

    assert [data.view("all_of_it", query), data.view("all_of_it", query)] == [True, False]
    with data.backend.select(
        parse_read({**VIEW, "table": "all_of_it"}, ()), Meta(run_id="r", namespace="prod")
    ) as found:
        assert list(found.columns) == ["b"]


# Copies


class Copies:
    """A copy of what a test says the source holds."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "copy.db"
        self.rows: list[dict[str, Any]] = [{"k": number, "v": "a"} for number in range(3)]
        self.version: str | None = "v1"
        self.reads = 0
        self._method = CopyMethod(Roots({"files": folder}))

    def sync(self, **changes: Any) -> dict[str, int]:
        given = {"path": "copy.db", "table": "t", "key_columns": ["k"], "source": PLAIN, **changes}
        return self._method.carry_out(copies.read(given, ()), Reach(namespace="prod", select=self._select), ())

    @contextmanager
    def _select(self, read: Read) -> Iterator[Selection]:
        yield Selection(columns={"k": Type.INT64, "v": Type.STRING}, rows=self._read(), version=self.version)

    def _read(self) -> Iterator[dict[str, Any]]:
        self.reads += 1
        yield from self.rows

    def there(self) -> list[Any]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute("SELECT k, v FROM t ORDER BY k").fetchall()

    def change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.executescript(sql)


@pytest.fixture
def copy(tmp_path: Path) -> Copies:
    copy = Copies(tmp_path)
    assert copy.sync() == {"written": 3, "unchanged": 0}
    assert copy.reads == 1
    return copy


def test_rows_of_a_version_that_is_there_are_not_read(copy: Copies) -> None:
    before = copy.file.stat().st_mtime_ns
    assert copy.sync() == {"written": 0, "unchanged": 3}
    assert (copy.reads, copy.file.stat().st_mtime_ns) == (1, before)


def test_without_a_version_and_with_another_they_are(copy: Copies) -> None:
    copy.version = None
    assert copy.sync() == {"written": 0, "unchanged": 3}
    copy.version = "v2"
    copy.rows[0] = {"k": 0, "v": "b"}
    assert copy.sync() == {"written": 3, "unchanged": 0}
    assert copy.reads == 3
    assert copy.there()[0] == (0, "b")


def test_a_new_version_of_the_same_rows_is_remembered(copy: Copies) -> None:
    copy.version = "v2"
    assert [copy.sync(), copy.sync()] == [{"written": 0, "unchanged": 3}] * 2
    assert copy.reads == 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET v = 'x' WHERE k = 1",
        "UPDATE t SET v = CAST(v AS BLOB) WHERE k = 1",
        "DELETE FROM t WHERE k = 1",
        "INSERT INTO t VALUES (9, 'x')",
        "DROP TABLE t",
        "ALTER TABLE t ADD COLUMN w",
        "DELETE FROM _lorchestra_sync",
        "UPDATE _lorchestra_sync SET version = x'00'",
        "DROP TABLE _lorchestra_sync",
        "ALTER TABLE _lorchestra_sync DROP COLUMN version",
    ],
)
def test_a_copy_that_others_changed_is_made_again(copy: Copies, change: str) -> None:
    before = copy.there()
    copy.change(change)

    copy.sync()

    assert (copy.reads, copy.there()) == (2, before)
    assert copy.sync() == {"written": 0, "unchanged": 3}
    assert copy.reads == 2


def test_a_copy_that_is_gone_is_made_again(copy: Copies) -> None:
    copy.file.unlink()
    assert copy.sync() == {"written": 3, "unchanged": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {**PLAIN, "where": {"k": 1}}},
        {"source": {**PLAIN, "limit": 9}},
        {"source": {**PLAIN, "order_by": ["v"]}},
        {"table": "u"},
        {"key_columns": ["k", "v"]},
        {"projected_at": "2026-01-01T00:00:00Z"},
        {"columns": [{"name": "k", "type": "INT64"}, {"name": "v", "type": "JSON"}]},
    ],
)
def test_another_read_or_another_table_is_read(copy: Copies, changes: dict[str, Any]) -> None:
    copy.sync(**changes)
    assert copy.reads == 2
