"""sqlite.sync on a real disk: the old table or the new one, and never a file outside its root."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.outward.sqlite_columns import SqliteSync
from lorchestra.storacle.outward.sqlite_sync.writer import SqliteWriter
from lorchestra.storacle.params import parse
from lorchestra.storacle.service import RpcError
from tests.integration.outward_process import (
    DATABASE,
    ROW_SIZE,
    ROWS,
    SOURCE,
    rows,
    start,
    sync,
    sync_params,
    write_table,
)
from tests.integration.swapped_folder import swapped


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def writer(root: Path) -> SqliteWriter:
    return SqliteWriter(Roots({"files": root}), patience_s=0.2)


def read(root: Path, query: str = "SELECT * FROM t", path: str = DATABASE) -> list[Any]:
    with closing(sqlite3.connect(root / path)) as connection:
        return connection.execute(query).fetchall()


def letters(root: Path) -> tuple[set[str], int]:
    found = read(root, "SELECT substr(text, 1, 1), length(text) FROM t")
    assert {length for _, length in found} == {ROW_SIZE}
    return {letter for letter, _ in found}, len(found)


def refusal(writer: SqliteWriter, wanted: SqliteSync, given: Any, namespace: str = "prod") -> RpcError:
    with pytest.raises(RpcError) as raised:
        sync(writer, wanted, given, namespace)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return raised.value


def test_a_table_is_made_with_types_and_a_key(writer: SqliteWriter, root: Path) -> None:
    columns = [
        {"name": name, "type": kind}
        for name, kind in (("a", "STRING"), ("select", "INT64"), ("c", "FLOAT64"), ("d", "BOOL"), ("e", "JSON"))
    ]
    value = {"path": DATABASE, "table": "order", "columns": columns, "key_columns": ["select", "a"], "source": SOURCE}
    given = [{"a": "x", "select": 2, "c": 1, "d": True, "e": {"k": []}}, {"a": "x", "select": 1}]
    assert sync(writer, parse(SqliteSync, value), given) == {"written": 2, "unchanged": 0}
    assert read(root, 'SELECT *, typeof(c) FROM "order"') == [
        ("x", 1, None, None, None, "null"),
        ("x", 2, 1.0, 1, '{"k":[]}', "real"),
    ]
    types = [(name, kind) for _, name, kind, *_ in read(root, 'PRAGMA table_info("order")')]
    assert types == [("a", "TEXT"), ("select", "INTEGER"), ("c", "REAL"), ("d", "INTEGER"), ("e", "TEXT")]
    assert stat.S_IMODE((root / DATABASE).stat().st_mode) == 0o600
    with closing(sqlite3.connect(root / DATABASE)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("""INSERT INTO "order" (a, "select") VALUES ('x', 1)""")


def test_rows_that_are_gone_are_gone(writer: SqliteWriter, root: Path) -> None:
    sync(writer, sync_params(), rows("a", 5))
    sync(writer, sync_params(), rows("b", 3))
    assert letters(root) == ({"b"}, 3)
    assert b"aaaa" not in (root / DATABASE).read_bytes()
    assert sync(writer, sync_params(), ()) == {"written": 0, "unchanged": 0}
    assert read(root) == []


def test_unchanged_content_is_left_alone_whatever_its_order(writer: SqliteWriter, root: Path) -> None:
    sync(writer, sync_params(), rows("a", 5))
    before = (root / DATABASE).stat()
    again = reversed(list(rows("a", 5)))
    assert sync(writer, sync_params(), again) == {"written": 0, "unchanged": 5}
    after = (root / DATABASE).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_when_the_rows_were_copied_is_no_part_of_what_they_say(writer: SqliteWriter, root: Path) -> None:
    def synced(time: str, letter: str = "a") -> dict[str, int]:
        return sync(writer, sync_params(projected_at=time), rows(letter, 2))

    assert synced("2026-03-01T07:00:00+01:00") == {"written": 2, "unchanged": 0}
    assert synced("2026-03-02T06:00:00Z") == {"written": 0, "unchanged": 2}
    assert read(root, "SELECT DISTINCT projected_at FROM t") == [("2026-03-01T06:00:00.000000Z",)]
    assert synced("2026-03-03T06:00:00Z", "b") == {"written": 2, "unchanged": 0}
    assert read(root, "SELECT DISTINCT projected_at FROM t") == [("2026-03-03T06:00:00.000000Z",)]
    assert sync(writer, sync_params(), rows("b", 2)) == {"written": 2, "unchanged": 0}
    assert [name for _, name, *_ in read(root, "PRAGMA table_info(t)")] == ["id", "text"]


def test_rows_that_others_removed_come_back(writer: SqliteWriter, root: Path) -> None:
    sync(writer, sync_params(), rows("a", 5))
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM t WHERE id = 3")
    assert sync(writer, sync_params(), rows("a", 5)) == {"written": 5, "unchanged": 0}


@pytest.mark.parametrize("change", ["text = 'other'", "text = NULL", "id = 9", "text = CAST(text AS BLOB)"])
def test_rows_that_others_changed_are_as_they_were(writer: SqliteWriter, root: Path, change: str) -> None:
    sync(writer, sync_params(), rows("a", 5))
    before = read(root)
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        connection.execute(f"UPDATE t SET {change} WHERE id = 3")
    assert sync(writer, sync_params(), rows("a", 5)) == {"written": 5, "unchanged": 0}
    assert read(root) == before
    assert sync(writer, sync_params(), rows("a", 5)) == {"written": 0, "unchanged": 5}


def test_other_tables_views_and_indexes_stay(writer: SqliteWriter, root: Path) -> None:
    sync(writer, sync_params(), rows("a", 5))
    sync(writer, sync_params("other"), rows("o", 2))
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        connection.execute("CREATE VIEW v AS SELECT count(*) FROM t")
        connection.execute("CREATE INDEX i ON t (text)")
    sync(writer, sync_params(), rows("b", 6))
    assert read(root, "SELECT * FROM v") == [(6,)]
    assert read(root, "SELECT count(*) FROM other") == [(2,)]
    assert read(root, "SELECT name FROM sqlite_master WHERE name = 'i'") == [("i",)]


def test_other_columns_make_another_table(writer: SqliteWriter, root: Path) -> None:
    sync(writer, sync_params(), rows("a", 5))
    other = sync_params("T", columns=[{"name": "n", "type": "STRING"}], key_columns=["n"])
    sync(writer, other, [{"n": "x"}])
    assert read(root) == [("x",)]


def test_a_wal_file_stays_one(writer: SqliteWriter, root: Path) -> None:
    (root / "out").mkdir(parents=True)
    with closing(sqlite3.connect(root / DATABASE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE mine (n)")
        sync(writer, sync_params(), rows("a", 5))
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (5,)
    assert stat.S_IMODE((root / DATABASE).stat().st_mode) == 0o600


def test_a_smoke_run_leaves_production_alone(writer: SqliteWriter, root: Path) -> None:
    sync(writer, sync_params(), rows("a", 5))
    sync(writer, sync_params(), rows("b", 1), "smoke_x")
    assert letters(root) == ({"a"}, 5)
    assert letters(root / "_smoke/x") == ({"b"}, 1)


def test_a_mistake_among_the_rows_leaves_no_trace(writer: SqliteWriter, root: Path) -> None:
    wrong = [*rows("a", 2), {"id": "not a number"}]
    assert refusal(writer, sync_params(), wrong).data() == {"pointer": "/rows/2/id"}
    twice = [*rows("a", 2), *rows("b", 1)]
    refused = refusal(writer, sync_params(), twice)
    assert (refused.code, refused.at) == (ErrorCode.INVALID_PARAMS, ("rows", 2))
    assert not (root / DATABASE).exists()


def test_an_error_of_whoever_gives_the_rows_goes_through(writer: SqliteWriter, root: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from rows("a", 2)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        sync(writer, sync_params(), broken())
    assert not (root / DATABASE).exists()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look at" * 50, b"SQLite format 3\0 not"])
def test_a_file_that_is_no_database_is_refused_and_kept(writer: SqliteWriter, root: Path, content: bytes) -> None:
    (root / "out").mkdir(parents=True)
    (root / DATABASE).write_bytes(content)
    assert refusal(writer, sync_params(), rows("a")).code is ErrorCode.REFUSED
    assert (root / DATABASE).read_bytes() == content


def test_a_view_of_that_name_is_refused(writer: SqliteWriter, root: Path) -> None:
    (root / "out").mkdir(parents=True)
    with closing(sqlite3.connect(root / DATABASE)) as connection:
        connection.execute("CREATE VIEW t AS SELECT 1")
    refused = refusal(writer, sync_params(), rows("a"))
    assert (refused.code, refused.at) == (ErrorCode.REFUSED, ("table",))


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_file_that_another_keeps_locked_is_busy(writer: SqliteWriter, root: Path, lock: str) -> None:
    sync(writer, sync_params(), rows("a", 5))
    with closing(sqlite3.connect(root / DATABASE, isolation_level=None)) as connection:
        connection.execute(lock)
        assert refusal(writer, sync_params(), rows("b", 5)).code is ErrorCode.BUSY
        connection.execute("ROLLBACK")
        reading = connection.execute("SELECT * FROM t")
        reading.fetchone()
        assert refusal(writer, sync_params(), rows("b", 5)).code is ErrorCode.BUSY
        reading.close()
    assert letters(root) == ({"a"}, 5)
    sync(writer, sync_params(), rows("b", 5))


def test_threads_that_write_at_once_take_turns(root: Path) -> None:
    writer = SqliteWriter(Roots({"files": root}))
    errors: list[Exception] = []

    def work(table: str) -> None:
        try:
            for letter in "abcd":
                sync(writer, sync_params(table), rows(letter, 50))
        except Exception as error:  # noqa: BLE001  a thread's errors are looked at below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(table,)) for table in ("t", "u", "v")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for table in ("t", "u", "v"):
        assert read(root, f"SELECT count(*), min(substr(text, 1, 1)) FROM {table}") == [(50, "d")]


@pytest.mark.parametrize("path", ["link/copy.db", "link", "hard.db", "journal.db", "pipe"])
def test_nothing_outside_is_written(writer: SqliteWriter, root: Path, outside: Path, path: str) -> None:
    root.mkdir()
    write_table(outside, "o")
    victim = outside / DATABASE
    before = victim.read_bytes()
    (root / "link").symlink_to(outside if "/" in path else victim)
    os.link(victim, root / "hard.db")
    (root / "journal.db-journal").symlink_to(victim)
    os.mkfifo(root / "pipe")
    refused = refusal(writer, sync_params(path=path), rows("n"))
    assert (refused.code, refused.at) == (ErrorCode.FORBIDDEN, ("path",))
    assert victim.read_bytes() == before


def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(
    writer: SqliteWriter, root: Path, outside: Path
) -> None:
    (root / "out").mkdir(parents=True)
    write_table(outside, "o")
    (outside / DATABASE).rename(outside / "copy.db")
    (outside / "out").rmdir()
    before = (outside / "copy.db").read_bytes()
    codes = set()
    with swapped(root / "out", outside):
        for number in range(100):
            try:
                sync(writer, sync_params(), rows("ab"[number % 2], 3))
            except RpcError as error:
                codes.add(error.code)
    assert ErrorCode.INTERNAL not in codes
    assert (outside / "copy.db").read_bytes() == before
    assert {path.name for path in outside.iterdir()} <= {"copy.db", "copy.db-journal"}
    assert sum(path.stat().st_size for path in outside.glob("*-journal")) == 0


def test_a_full_disk_leaves_the_old_table(root: Path) -> None:
    write_table(root, "o")
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        # More than the limit, so that the rows fit and the file does not grow.
        connection.execute("CREATE TABLE large AS SELECT zeroblob(1000000) AS content")
    with start("table", root, "n", times=1, limit=600_000) as process:
        assert process.read() == "STORAGE_FULL\n"
    assert letters(root) == ({"o"}, ROWS)
    assert read(root, "PRAGMA integrity_check") == [("ok",)]
    assert sorted(path.name for path in (root / "out").iterdir()) == ["copy.db"]


def test_rows_that_find_no_room_leave_the_target_untouched(root: Path) -> None:
    with start("table", root, "n", times=1, limit=100_000) as process:
        assert process.read() == "STORAGE_FULL\n"
    assert not (root / DATABASE).exists()


@pytest.mark.parametrize("delay_ms", [0, 3, 6, 10, 15])
def test_a_process_that_is_killed_leaves_the_old_table_or_the_new(root: Path, delay_ms: int) -> None:
    with start("table", root, "ab") as process:
        process.stdout.readline()
        time.sleep(delay_ms / 1000)
        process.kill()
    found, count = letters(root)
    assert (len(found), count) == (1, ROWS)
    write_table(root, "c")
    assert letters(root) == ({"c"}, ROWS)
    assert sorted(path.name for path in (root / "out").iterdir()) == ["copy.db"]


def test_readers_see_one_table_whole_while_processes_write(root: Path) -> None:
    with start("table", root, "ab", times=8) as one, start("table", root, "cd", times=8) as other:
        seen = 0
        while one.poll() is None or other.poll() is None:
            with suppress(sqlite3.OperationalError):
                found, count = letters(root)
                assert (len(found), count) == (1, ROWS)
                seen += 1
        assert one.stdout.read().split() == ["a", "b"] * 4
    assert seen
