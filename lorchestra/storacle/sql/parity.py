"""The comparison of the two engines: the same query on the same rows."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from lorchestra.storacle.sql import second_engine
from lorchestra.storacle.sql.compilation import CompiledQuery, Relation, TableName, compile_select
from lorchestra.storacle.sql.constructs import COLUMNS, CONSTRUCTS, Construct
from lorchestra.storacle.sql.functions import register
from lorchestra.storacle.sql.kinds import STORED_AS, Kind

_TABLE = "raw__raw_objects"

_TEXTS = (
    "Gmail", "gmail", None, "", "a_l g", "12", " -7 ", "1.5", "true", "FALSE", "2024-02-29", "29.02.2024 10:11",
    "2024-02-29 10:11:12.5+02:00", "Gm_l", "it's é", "x9 y8", "99999999999999999999", "2024-02-30", "1e3", "Galal",
)  # fmt: skip
_PAYLOADS = (
    '{"name":"x","list":[{"id":"gmail"},{"id":2}],"a b":true}', None, '{"name":null,"list":[1,"x",null]}', "not json",
    '{"list":{}}', "[]", '{"name":{"a":1},"list":[]}', '{"name":1.5}', '{"list":[[1],{"id":null}]}', '"s"',
)  # fmt: skip
_TIMES = (
    "2023-12-31T23:59:59.999999Z", "2024-02-29T12:00:00.000000Z", None, "2024-03-01T00:00:00.000001Z",
    "1969-07-20T20:17:40.000000Z", "2026-01-05T08:30:15.250000Z",
)  # fmt: skip
_DAYS = ("2024-02-29", None, "2023-12-31", "2026-01-31", "1999-01-01")


def sample_rows() -> list[tuple[Any, ...]]:
    """Rows with what engines are known to differ on; each column goes round at a pace of its own."""
    return [
        (
            f"k{number:03d}",
            ("gmail", "Gmail", None, "forms")[number % 4],
            _TEXTS[number % len(_TEXTS)],
            _PAYLOADS[number % len(_PAYLOADS)],
            (1, 2, None, -5, 7, 0)[number % 6],
            (1.5, -2.5, None, 0.25)[number // 2 % 4],
            (1, 0, None)[number % 3],
            _TIMES[number % len(_TIMES)],
            _TIMES[number // 3 % len(_TIMES)],
            _DAYS[number % len(_DAYS)],
        )
        for number in range(60)
    ]


class Engines:
    """Both engines, with one table."""

    def __init__(self) -> None:
        self._queries: dict[str, tuple[CompiledQuery, str]] = {}
        self._second = second_engine.connect()
        self._first = sqlite3.connect(":memory:", isolation_level=None)
        register(self._first)
        described = ", ".join(f'"{name}" {STORED_AS[Kind(kind)]}' for name, kind in COLUMNS.items())
        self._first.execute(f'CREATE TABLE "{_TABLE}" ({described})')

    def close(self) -> None:
        self._first.close()
        self._second.close()

    def fill(self, rows: Iterable[Sequence[Any]]) -> None:
        rows = list(rows)
        self._first.execute(f'DELETE FROM "{_TABLE}"')
        self._first.executemany(f'INSERT INTO "{_TABLE}" VALUES ({", ".join("?" for _ in COLUMNS)})', rows)
        second_engine.fill(self._second, "raw.raw_objects", COLUMNS, rows)

    def both(self, construct: Construct) -> tuple[Counter[second_engine.Row], Counter[second_engine.Row]]:
        """What each engine gives for the example, as multisets of rows."""
        query, other = self._prepared(construct)
        first = self._first.execute(query.sqlite_sql).fetchall()
        second = second_engine.run(self._second, other, query.columns)
        return second_engine.multiset(first, query.columns), second_engine.multiset(second, query.columns)

    def _prepared(self, construct: Construct) -> tuple[CompiledQuery, str]:
        if construct.name not in self._queries:
            query = compile_select(construct.example, tables=_resolve)
            self._queries[construct.name] = (query, second_engine.to_duckdb(construct.example))
        return self._queries[construct.name]


def _resolve(name: TableName) -> Relation | None:
    return Relation(_TABLE, COLUMNS) if (name.dataset, name.table) == ("raw", "raw_objects") else None


def differing(rows: Iterable[Sequence[Any]]) -> frozenset[str]:
    """The names of the constructs said to be proven on which the engines differ."""
    engines = Engines()
    try:
        engines.fill(rows)
        compared = ((one.name, *engines.both(one)) for one in CONSTRUCTS if one.is_proven)
        return frozenset(name for name, first, second in compared if first != second)
    finally:
        engines.close()
