"""Files of the run store, and what is said when they cannot be written."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from lorchestra.errors import StoreError
from lorchestra.run_store import digest_key, files
from lorchestra.run_store.sqlite import database


def test_all_who_ask_for_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    start, keys = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        keys.append(digest_key.load(tmp_path / "digest.key"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["digest.key"]
    assert (tmp_path / "digest.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name",
    [
        "SQLITE_FULL",
        "SQLITE_IOERR",
        "SQLITE_READONLY",
        "SQLITE_CANTOPEN",
        "SQLITE_PERM",
        "SQLITE_NOTADB",
        "SQLITE_CORRUPT",
        "SQLITE_BUSY",
        "SQLITE_LOCKED",
        "SQLITE_NOMEM",
        "SQLITE_TOOBIG",
    ],
)
def test_what_an_operator_can_mend_is_said_for_each_such_error_of_sqlite(name: str) -> None:
    assert hasattr(sqlite3, name)
    error = sqlite3.OperationalError("the words of SQLite")
    error.sqlite_errorname = name
    said = str(database.failure(error, Path("/data/runs.db"), "record a step"))
    assert said.startswith("the run store cannot record a step (/data/runs.db): ")
    assert said.endswith(f" [{name}]")
    assert "SQLite refuses" not in said


def test_other_errors_of_sqlite_are_named() -> None:
    said = str(database.failure(sqlite3.ProgrammingError("words"), Path("/data/runs.db"), "list runs"))
    assert said == "the run store cannot list runs (/data/runs.db): SQLite refuses [ProgrammingError]"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission is denied"),
        (errno.ENOTDIR, "a file stands where a folder is expected"),
        (errno.EIO, os.strerror(errno.EIO)),
        (None, "OSError"),
    ],
)
def test_errors_of_the_file_system_say_what_and_where(number: int | None, said: str) -> None:
    error = OSError(number, "words") if number else OSError()
    message = str(files.failure(error, Path("/data/private/x"), "write"))
    assert message.startswith("the run store cannot write /data/private/x: ")
    assert said in message


def test_a_draft_that_lost_its_turn_replaces_nothing(tmp_path: Path) -> None:
    with files.Draft(tmp_path / "value") as slow:
        slow.write(b"slow")
        with files.Draft(tmp_path / "value") as quick:
            quick.write(b"quick")
            quick.keep()
        with pytest.raises(StoreError):
            slow.keep()
    assert (tmp_path / "value").read_bytes() == b"quick"
    assert [path.name for path in tmp_path.iterdir()] == ["value"]
