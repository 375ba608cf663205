"""The SQLite run store in trouble: damaged files, odd places, a full disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lorchestra.errors import StoreError
from lorchestra.run_store import RunFilter, SqliteRunStore
from lorchestra.schemas import RunStatus
from tests.factories import NOW, job_def, manifest, outcome, run_record
from tests.integration.store_process import StoreProcess

RUN = "01HWRUN"


def open_run(store: SqliteRunStore, run_id: str = RUN, *, exclusive: bool = True) -> None:
    store.open_run(run_record(run_id=run_id), job_def(), [manifest(run_id)], exclusive=exclusive)


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_text("a note")
    with pytest.raises(StoreError, match="a file stands where a folder is expected") as refused:
        SqliteRunStore(path)
    assert str(path) in str(refused.value)
    assert isinstance(refused.value.__cause__, NotADirectoryError)
    with pytest.raises(StoreError, match="a file stands where a folder is expected"):
        SqliteRunStore(path / "below")


def test_a_place_where_nothing_can_be_written() -> None:
    with pytest.raises(StoreError, match="cannot make the folder") as refused:
        SqliteRunStore(Path("/proc/lorchestra"))
    assert isinstance(refused.value.__cause__, OSError)


def test_a_folder_in_place_of_the_file(folder: Path) -> None:
    (folder / "runs.db").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot open its file .*runs\.db.*cannot be opened"):
        SqliteRunStore(folder)


@pytest.mark.parametrize(
    ("content", "said"), [(b"no database at all" * 100, "no SQLite file"), (None, "the file is damaged")]
)
def test_a_damaged_file(folder: Path, content: bytes | None, said: str) -> None:
    SqliteRunStore(folder).close()
    path = folder / "runs.db"
    if content is None:
        data = bytearray(path.read_bytes())
        data[100:] = b"\xff" * (len(data) - 100)
        content = bytes(data)
    path.write_bytes(content)

    with pytest.raises(StoreError, match=said) as refused:
        SqliteRunStore(folder)

    assert str(path) in str(refused.value)
    assert isinstance(refused.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes() == content


def test_damage_that_shows_only_later(folder: Path) -> None:
    first = SqliteRunStore(folder)
    for number in range(50):
        open_run(first, f"R{number}", exclusive=False)
    first.close()
    path = folder / "runs.db"
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = b"\xff" * (len(data) - 4096 * 3)
    path.write_bytes(data)

    store = SqliteRunStore(folder)
    for ask in (
        lambda: store.list_runs(RunFilter()),
        lambda: store.get("R1"),
        lambda: store.manifests("R1"),
        lambda: store.prune(NOW, dry_run=True),
        lambda: open_run(store, "R99"),
    ):
        with pytest.raises(StoreError, match="damaged"):
            ask()
    store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET record = '{'",
        "UPDATE runs SET status = 'odd'",
        "UPDATE runs SET completed_at = 'odd'",
        "UPDATE runs SET error = '{}'",
        "UPDATE runs SET attempt_started_at = 'odd'",
        "UPDATE attempts SET started_at = 'odd'",
        "UPDATE attempts SET status = 'odd'",
        "UPDATE entries SET body = '{}'",
    ],
)
def test_a_row_that_cannot_be_read(store: SqliteRunStore, folder: Path, damage: str) -> None:
    open_run(store)
    store.advance(RUN, 1, outcomes=[outcome()])
    store.close_run(RUN, 1, status=RunStatus.FAILED, at=NOW)
    store.open_attempt(RUN, at=NOW)
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute(damage)
    connection.close()

    with pytest.raises(StoreError, match="damaged"):
        store.get(RUN)


def test_a_damaged_definition_is_an_error(store: SqliteRunStore, folder: Path) -> None:
    open_run(store)
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute("UPDATE definitions SET body = '{'")
    connection.close()

    with pytest.raises(StoreError, match="damaged"):
        store.definition(job_def().sha256())


def test_a_file_of_a_newer_version(folder: Path) -> None:
    SqliteRunStore(folder).close()
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'later')")
    connection.close()

    with pytest.raises(StoreError, match=r"written by a newer lorchestra \(version 99"):
        SqliteRunStore(folder)


def test_a_database_of_something_else(folder: Path) -> None:
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()

    with pytest.raises(StoreError, match="a database of something else"):
        SqliteRunStore(folder)


def test_a_file_that_was_only_just_made_when_its_maker_was_killed(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "runs.db").touch()
    store = SqliteRunStore(folder)
    open_run(store)
    assert store.get(RUN).status is RunStatus.RUNNING
    store.close()


def test_a_digest_key_of_the_wrong_length(store: SqliteRunStore, folder: Path) -> None:
    (folder / "digest.key").write_bytes(b"short")
    with pytest.raises(StoreError, match="has 5 bytes, and 32 are expected"):
        _ = store.digester


def test_text_that_is_no_unicode(store: SqliteRunStore) -> None:
    for ask in (lambda: store.get("\udcff"), lambda: store.find("\udcff"), lambda: open_run(store, "\udcff")):
        with pytest.raises(StoreError, match=r"not valid Unicode|JSON cannot represent"):
            ask()
    assert store.list_runs(RunFilter()) == ()


def test_a_full_disk_is_a_store_error_and_leaves_nothing_half_written(folder: Path) -> None:
    with StoreProcess(folder) as process:
        process.ask("open_store")
        process.ask("open_run", RUN)
        process.ask("limit_file_size", (folder / "runs.db-wal").stat().st_size)

        refused = [
            process.ask("advance", RUN, 1),
            process.ask("close_run", RUN, 1),
            process.ask("open_run", "R2", False),
        ]

        for error in refused:
            assert error["error"] == "StoreError"
            assert error["cause"] == "OperationalError"
            assert str(folder / "runs.db") in error["message"]
            assert "the disk" in error["message"]
        assert process.ask("status", RUN) == "running"

        process.ask("limit_file_size", None)
        assert process.ask("advance", RUN, 1) == "advanced"
        assert process.ask("close_run", RUN, 1) == "closed"

    store = SqliteRunStore(folder)
    assert [record.run_id for record in store.list_runs(RunFilter())] == [RUN]
    assert len(store.get(RUN).step_outcomes) == 1
    store.close()


def test_private_values_on_a_full_disk_keep_the_earlier_ones(folder: Path) -> None:
    with StoreProcess(folder) as process:
        process.ask("open_store")
        process.ask("open_run", RUN)
        process.ask("put", RUN, 10)
        process.ask("spill", RUN, 2000)
        process.ask("limit_file_size", 100_000)

        refused = [process.ask("put", RUN, 1_000_000), process.ask("spill", RUN, 1_000_000)]

        for error in refused:
            assert error["error"] == "StoreError"
            assert error["cause"] == "OSError"
            assert "beyond the size" in error["message"]

    store = SqliteRunStore(folder)
    assert store.private.get(RUN, "output") == "x" * 10
    assert len(list(store.private.read_spill(RUN, "items"))) == 2
    assert sorted(path.name for path in (folder / "private" / RUN).iterdir()) == ["items", "output"]
    store.close()
