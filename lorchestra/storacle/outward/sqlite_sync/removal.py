"""How a table that a smoke run copied is taken away again, and its file once nothing is left in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress

from lorchestra.storacle.outward.roots import Place
from lorchestra.storacle.outward.sqlite_columns import SYNC_TABLE
from lorchestra.storacle.outward.sqlite_sync import notes, opening


def attach(connection: sqlite3.Connection, place: Place) -> bool:
    """Whether there is a file that may hold copies: nothing else is written in place of one."""
    try:
        status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        return False
    try:
        opening.attach(connection, place)
        connection.execute("SELECT 1 FROM target.sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname != "SQLITE_NOTADB":
            raise
        return False
    return True


def drop(connection: sqlite3.Connection, place: Place, table: str) -> None:
    side = opening.prepare(connection)
    try:
        with opening.transaction(connection):
            if table in notes.found(connection):
                notes.remove(connection, table)
                # The first write has opened it, and nothing of the table is in it yet.
                opening.opened(place.folder, place.name + side)
                connection.execute(f'DROP TABLE IF EXISTS target."{table}"')
                connection.execute("COMMIT")
        # In a transaction of its own, which has written nothing: a journal that lay beside a new file of this name
        # would be taken for that one's.
        with opening.transaction(connection, kind="EXCLUSIVE"):
            if not _holds_tables(connection):
                _remove_file(place)
    finally:
        if side == "-journal":
            opening.remove_journal(connection, place)


def _holds_tables(connection: sqlite3.Connection) -> bool:
    """Copied ones, or any that others made."""
    tables = connection.execute(
        "SELECT name FROM target.sqlite_master WHERE type = 'table' AND name <> ?", (SYNC_TABLE,)
    )
    # SQLite's own tables serve those of others.
    return bool(notes.found(connection)) or not all(name.startswith("sqlite_") for (name,) in tables)


def _remove_file(place: Place) -> None:
    # The file itself last: until then, all of it can be done again.
    for name in (*(place.name + side for side in opening.SIDE_FILES), place.name):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=place.folder)
