"""The methods of a plan, one file a family: how their params are read. What carries them out is the backend's, or, for
what lies beyond its tables, `storacle.outward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lorchestra.errors import Path
from lorchestra.storacle.methods import asserts, copies, files, rows, sheets, sql, state
from lorchestra.storacle.params import Params

ReadParams: TypeAlias = Callable[[Any, Path], Params]
"""Raises RpcError, with a path below the one it is given, for params that are none of the method's."""

INWARD: Mapping[str, ReadParams] = {
    "table.upsert": rows.read,
    "table.insert": rows.read,
    "wal.append": rows.read,
    "event.append": rows.read,
    "table.delete": rows.read,
    "state.put": state.read,
    "assert.rows": asserts.read_rows,
    "assert.exists": asserts.read_exists,
    "assert.unique": asserts.read_unique,
    "sql.execute": sql.read_execute,
    "view.create": sql.read_view,
}
"""Carried out by the backend, in a transaction."""

OUTWARD: Mapping[str, ReadParams] = {
    "file.write": files.read_write,
    "file.prune": files.read_prune,
    "sqlite.sync": copies.read,
    "sheets.write_table": sheets.read,
}

ALIASES: Mapping[str, str] = {"bq.upsert": "table.upsert", "bq.execute": "sql.execute"}
