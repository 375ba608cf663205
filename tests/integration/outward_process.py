"""Writes to a root from a process of its own, over and over, until it has done enough or is killed.

Each version of the content is all of one letter, so that a mixture shows.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lorchestra.clock import SystemClock
from lorchestra.storacle.outward.file_write import FileWrite, FileWriter
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.outward.sqlite_columns import SqliteSync
from lorchestra.storacle.outward.sqlite_sync.writer import SqliteWriter
from lorchestra.storacle.params import parse
from lorchestra.storacle.service import RpcError
from tests.forked_python import TalkingPython

FILE, DATABASE = "out/page.md", "out/copy.db"
FILE_SIZE, ROWS, ROW_SIZE = 2_000_000, 400, 1000

COLUMNS = [{"name": "id", "type": "INT64"}, {"name": "text", "type": "STRING"}]
SOURCE = {"dataset": "lab", "table": "texts"}


def sync_params(table: str = "t", path: str = DATABASE, **more: Any) -> SqliteSync:
    value = {"path": path, "table": table, "columns": COLUMNS, "key_columns": ["id"], "source": SOURCE, **more}
    return parse(SqliteSync, value)


def sync(
    writer: SqliteWriter, params: SqliteSync, rows: Iterable[Mapping[str, Any]], namespace: str = "prod"
) -> dict[str, int]:
    return writer.sync(params, params.table_of({}), rows, namespace=namespace)


def rows(letter: str, count: int = ROWS) -> Iterator[dict[str, Any]]:
    return ({"id": number, "text": letter * ROW_SIZE} for number in range(count))


def write_file(folder: Path, letter: str) -> None:
    params = FileWrite(path=FILE, content=letter * FILE_SIZE)
    FileWriter(Roots({"files": folder}), SystemClock()).write(params, namespace="prod")


def write_table(folder: Path, letter: str) -> None:
    sync(SqliteWriter(Roots({"files": folder})), sync_params(), rows(letter))


_WRITES: dict[str, Callable[[Path, str], None]] = {"file": write_file, "table": write_table}


def start(kind: str, folder: Path, letters: str, *, times: int = 1_000_000, limit: int = 0) -> TalkingPython:
    """A process that writes each letter in turn, and says each one when it is written."""
    return TalkingPython(__name__, kind, str(folder), letters, str(times), str(limit))


def _main(kind: str, folder: str, letters: str, times: str, limit: str) -> None:
    if int(limit):
        # A limit on the size of files stands in for the full disk: beyond it, every write fails.
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    for number in range(int(times)):
        letter = letters[number % len(letters)]
        try:
            _WRITES[kind](Path(folder), letter)
        except RpcError as error:
            letter = error.code.name
        os.write(1, f"{letter}\n".encode())


if __name__ == "__main__":
    _main(*sys.argv[1:])
