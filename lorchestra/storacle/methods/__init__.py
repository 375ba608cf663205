"""The methods of a plan, one file a family, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lorchestra.clock import Clock
from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, Transaction
from lorchestra.storacle.methods import asserts, rows, state
from lorchestra.storacle.methods.files import Files
from lorchestra.storacle.outward.file_write import FileWriter
from lorchestra.storacle.outward.roots import Roots

OpMethod: TypeAlias = Callable[[Transaction, Any, Path], Counts]
"""Raises RpcError, with a path below the one it is given, when the op is refused."""

METHODS: Mapping[str, OpMethod] = {
    "table.upsert": rows.upsert,
    "table.insert": rows.append,
    "wal.append": rows.append,
    "event.append": rows.append,
    "table.delete": rows.delete,
    "state.put": state.put,
    "assert.rows": asserts.rows,
    "assert.exists": asserts.exists,
    "assert.unique": asserts.unique,
}


def with_files(roots: Roots, clock: Clock) -> Mapping[str, OpMethod]:
    """The methods, with those that reach below the roots."""
    return {**METHODS, "file.write": Files(FileWriter(roots, clock)).write}


ALIASES: Mapping[str, str] = {"bq.upsert": "table.upsert", "bq.execute": "sql.execute"}
