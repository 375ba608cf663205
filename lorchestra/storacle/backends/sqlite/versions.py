"""Whether what a read gives may have changed, told without reading it.

Every row keeps the tag of the op that changed it last, so a table whose rows are as many, and whose tags are the same,
says the same. A view says the same while its query and the tables that it reads do.
"""

from __future__ import annotations

import re
import sqlite3

from lorchestra.json_value import sha256
from lorchestra.storacle.backends.sqlite.catalog import Catalog, Entry, Kind, TableId
from lorchestra.storacle.backends.sqlite.layout import quoted
from lorchestra.storacle.backends.sqlite.made_by_query import compiler
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.tables import OP, Role

_WORD = re.compile(r"\w+")


def version_of(connection: sqlite3.Connection, catalog: Catalog, table_id: TableId, read: Read) -> str | None:
    """The same only while the read gives the same rows. None where that cannot be told."""
    entry = catalog.entry(connection, table_id)
    if entry is None or entry.kind is Kind.RESULT:
        return None
    if entry.kind is Kind.TABLE and not _asks_for_content(read, _provenance(catalog, table_id)):
        return None
    told = _told(connection, catalog, table_id, entry)
    return None if told is None else sha256([compiler(), told])


def _provenance(catalog: Catalog, table_id: TableId) -> frozenset[str]:
    """Columns that change when a row is written again, whose tag does not."""
    table = catalog.declared(table_id)
    columns = () if table is None else table.columns
    return frozenset(column.name for column in columns if column.role is not Role.CONTENT)


def _asks_for_content(read: Read, provenance: frozenset[str]) -> bool:
    if read.columns is None:
        # All of a declared table: those as well.
        return False
    fields = (*read.columns, *(one.field for one in read.where), *(one.field for one in read.order_by))
    return provenance.isdisjoint(field.column for field in fields)


def _told(
    connection: sqlite3.Connection, catalog: Catalog, table_id: TableId, entry: Entry | None
) -> list[object] | None:
    if entry is None or entry.kind is Kind.RESULT:
        return None
    if entry.kind is Kind.TABLE:
        # In halves, since the sum of many would be none that SQLite has.
        tags = f"sum({OP} & 4294967295), sum({OP} >> 32), count({OP})"
        found = connection.execute(f"SELECT count(*), {tags} FROM {quoted(entry.physical)}").fetchone()
        return [entry.physical, *found]
    if "reads" not in entry.about:
        return None
    sql = str(entry.about["sql"])
    words = frozenset(_WORD.findall(sql))
    told: list[object] = [sql]
    for dataset, name, _ in entry.about["reads"]:
        read_id = (table_id[0], dataset, name)
        one = _told(connection, catalog, read_id, catalog.entry(connection, read_id))
        if one is None or not words.isdisjoint(_provenance(catalog, read_id)):
            return None
        told.append(one)
    return told
