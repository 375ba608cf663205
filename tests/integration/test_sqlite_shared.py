"""One SQLite file and several who use it: what one of them changes, the others know; and views of all shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorchestra.json_value import JSONObject
from lorchestra.plan_builder import build_plan_from_items
from lorchestra.storacle import OpResult, PlanRefused, RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.tables import Column, Table, Type, by_name
from lorchestra.storacle.transports import InProcessTransport
from tests.contract.storacle_world import make_op, plan_of
from tests.integration.plan_process import META

KEY = ("idem_key",)
SMOKE = replace(META, namespace="smoke_x")


class User:
    """One who has the file open, and a run of their own."""

    def __init__(self, path: Path, name: str, *, page_rows: int = 2, **options: Any) -> None:
        self.backend = SqliteBackend(path, **options)
        self.client = RpcClient(InProcessTransport(DataService(self.backend)), page_rows=page_rows)
        self._name = name
        self._sent = 0

    def meta(self, base: RpcMeta = META) -> RpcMeta:
        meta = replace(base, run_id=f"{self._name}{self._sent}")
        return replace(meta, token=self.client.open_run(meta))

    def do(self, method: str, base: RpcMeta = META, /, **params: Any) -> OpResult:
        self._sent += 1
        [result] = self.client.execute_plan(
            plan_of(make_op(f"{self._name}{self._sent}", method, params)), self.meta(base)
        )
        return result

    def write(
        self, table: str, *rows: JSONObject, base: RpcMeta = META, method: str = "table.upsert"
    ) -> dict[str, int]:
        result = self.do(method, base, dataset="raw", table=table, key_columns=KEY, rows=list(rows))
        return {name: count for name, count in result.counts.items() if count}

    def read(self, table: str, base: RpcMeta = META, /, *, dataset: str = "raw", **read: Any) -> list[Any]:
        return [dict(row) for row in self.client.query({"dataset": dataset, "table": table, **read}, base)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


@pytest.fixture
def users(path: Path) -> Iterator[tuple[User, User]]:
    one, other = User(path, "one"), User(path, "other")
    yield one, other
    one.backend.close()
    other.backend.close()


@pytest.mark.parametrize("table", ["calls", "raw_objects"])
def test_table_that_another_removed_and_made_anew_is_the_new_one(users: tuple[User, User], table: str) -> None:
    one, other = users
    one.write(table, {"idem_key": "a"}, base=SMOKE)
    other.client.clean("smoke_x")
    assert one.read(table, SMOKE) == []
    other.write(table, {"idem_key": "b"}, base=SMOKE)
    one.write(table, {"idem_key": "c"}, base=SMOKE)
    assert [row["idem_key"] for row in other.read(table, SMOKE)] == ["b", "c"]


def test_run_of_a_namespace_that_was_cleaned_may_write_no_more(users: tuple[User, User]) -> None:
    one, other = users
    stale = one.meta(SMOKE)
    other.client.clean("smoke_x")
    again = replace(stale, token=other.client.open_run(stale))
    plan = build_plan_from_items(
        [{"idem_key": "a"}], "p", "table.upsert", dataset="raw", table="calls", key_columns=KEY
    )
    with pytest.raises(PlanRefused) as caught:
        one.client.execute_plan(plan, stale)
    assert caught.value.code == ErrorCode.FENCED
    assert one.client.execute_plan(plan, again)[0].counts["inserted"] == 1


def test_assertion_may_be_about_a_view_that_another_made(users: tuple[User, User]) -> None:
    one, other = users
    one.write("raw_objects", {"idem_key": "a1"})
    one.do(
        "view.create", dataset="d", table="v", sql="SELECT REGEXP_EXTRACT(idem_key, r'a(.)') AS n FROM raw.raw_objects"
    )
    assert other.do("assert.rows", dataset="d", table="v", where={"n": "1"}, count=1).counts == {"matched": 1}


def test_page_of_a_view_goes_on_behind_a_row_that_is_gone(users: tuple[User, User]) -> None:
    one, other = users
    one.write("raw_objects", *({"idem_key": key} for key in "abcd"))
    one.do("view.create", dataset="d", table="v", sql="SELECT idem_key FROM raw.raw_objects")
    rows = one.client.query({"dataset": "d", "table": "v"}, META)
    first = [next(rows)["idem_key"] for _ in range(2)]
    other.write("raw_objects", {"idem_key": "b"}, method="table.delete")
    assert first + [row["idem_key"] for row in rows] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["rowid", "ROWID", "_rowid_"])
def test_table_made_by_a_query_may_have_a_column_that_sqlite_knows(users: tuple[User, User], name: str) -> None:
    one, _ = users
    one.write("raw_objects", *({"idem_key": key} for key in "abcde"))
    sql = f"CREATE OR REPLACE TABLE d.t AS SELECT 1 AS {name}, 2 AS oid, idem_key FROM raw.raw_objects"
    one.do("sql.execute", sql=sql)
    assert [row["idem_key"] for row in one.read("t", dataset="d")] == list("abcde")


def test_view_of_many_columns_is_read_backwards(users: tuple[User, User]) -> None:
    one, _ = users
    one.write("raw_objects", *({"idem_key": f"k{number}"} for number in range(7)))
    columns = ", ".join(f"CONCAT(idem_key, '{number}') AS c{number}" for number in range(150))
    one.do("view.create", dataset="d", table="wide", sql=f"SELECT idem_key, {columns} FROM raw.raw_objects")
    found = one.read("wide", dataset="d", order_by=["-idem_key"])
    assert [row["idem_key"] for row in found] == [f"k{number}" for number in reversed(range(7))]


def test_view_that_would_read_itself_is_refused_and_the_old_one_stays(users: tuple[User, User]) -> None:
    one, _ = users
    one.write("raw_objects", {"idem_key": "a"})
    one.do("view.create", dataset="d", table="v1", sql="SELECT idem_key FROM raw.raw_objects")
    one.do("view.create", dataset="d", table="v2", sql="SELECT idem_key FROM d.v1")
    with pytest.raises(PlanRefused):
        one.do("view.create", dataset="d", table="v1", sql="SELECT idem_key FROM d.v2")
    assert one.read("v2", dataset="d") == [{"idem_key": "a"}]


def test_declaration_that_grows_changes_no_row(path: Path) -> None:
    row: JSONObject = {"idem_key": "a", "payload": {"n": 1}, "zone": "x"}
    columns = (Column("idem_key"), Column("zone"), Column("payload", Type.JSON))
    for number, more in enumerate(((), (Column("also"), Column("extra", Type.JSON)))):
        table = Table(dataset="raw", name="own", columns=(*more, *columns), key_columns=KEY)
        user = User(path, f"user{number}", tables=by_name([table]))
        counts = user.write("own", row)
        assert user.write("own", row, method="wal.append") == {"unchanged": 1}
        user.backend.close()
        assert counts == ({"unchanged": 1} if more else {"inserted": 1})


def test_choice_of_texts_with_a_nul_finds_just_those(users: tuple[User, User]) -> None:
    one, _ = users
    one.write("raw_objects", {"idem_key": "1", "external_id": "a"}, {"idem_key": "2", "external_id": "a\0b"})
    found = one.read("raw_objects", where={"external_id": {"in": ["a\0b", "c"]}})
    assert [row["idem_key"] for row in found] == ["2"]


def test_failing_query_of_a_view_is_told_apart_in_the_log(
    users: tuple[User, User], caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = users
    one.write("raw_objects", {"idem_key": "nope"})
    one.do("view.create", dataset="d", table="v", sql="SELECT CAST(idem_key AS INT64) AS n FROM raw.raw_objects")
    with pytest.raises(Exception, match="internal"):
        one.read("v", dataset="d")
    assert "SQLITE_ERROR" in caplog.text
    assert "nope" not in caplog.text
