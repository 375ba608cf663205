"""Every view that is shipped gives the same rows on SQLite, from compiled SQL, and on DuckDB, from BigQuery SQL."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable import view_creator
from lorchestra.callable.direct import direct_context
from lorchestra.storacle.sql import second_engine
from lorchestra.storacle.sql.compilation import Relation, TableName, compile_select
from lorchestra.storacle.sql.functions import register
from lorchestra.storacle.sql.kinds import STORED_AS, Kind
from lorchestra.storacle.tables import TABLES
from tests import clinic_rows
from tests.clinic_rows import Answered, Row, answers, mail

VIEWS = sorted((Path(__file__).parents[2] / "sql" / "views").glob("*.sql"))
PEOPLE = ("ada@x.invalid", "Ada@X.invalid ", "grace@x.invalid", "zoë@x.invalid", "", None)
DAYS = (
    "2026-01-01T08:00:00Z",
    "2026-01-01T08:00:00.250Z",
    "2026-01-01T08:00:00.123456789Z",
    "2026-02-28T23:59:59Z",
    "no time",
    None,
)


def clinic(seed: int) -> Iterator[tuple[str, Row]]:
    """Rows in which much is missing, much is twice, and little is as it should be."""
    chance = random.Random(seed)
    for number in range(60):
        at: Any = chance.choice(DAYS)
        scores = {
            f"{measure}_total": chance.choice([None, (float(chance.randrange(27)), chance.choice(["mild", "severe"]))])
            for measure in chance.sample(["phq9", "gad7", "pss_10"], chance.randrange(4))
        }
        answered = Answered(at=at, scores=scores, flag=chance.choice([None, True, False]))
        for table, row in answers(chance.choice(PEOPLE), number, answered):
            if table != "canonical_objects" and at in ("no time", None):
                row = {**row, "timestamp": None}
            yield table, row
    for number in range(60):
        row = mail(
            chance.randrange(40), (chance.choice(["Ada", "", " ", None, "Ada L."]), chance.choice(PEOPLE) or "a"), [],
            chance.choice(DAYS) or "", account=f"acct{number}",
        )  # fmt: skip
        changes: Mapping[str, Any] = {
            "to": [{"email": chance.choice(PEOPLE), "name": "x"}, {}, None, "text"][: chance.randrange(5)],
            "cc": chance.choice([None, [], "text", {"email": "grace@x.invalid"}, [{"email": "grace@x.invalid"}]]),
            "from": chance.choice([row["payload"]["from"], None, row["payload"]["from"] * 2]),
            "messageId": chance.choice([row["payload"]["messageId"], None, [], [None]]),
        }
        yield "canonical_objects", {**row, "payload": {**row["payload"], **changes}}
    yield "canonical_objects", {"idem_key": "odd:1", "canonical_format": "jmap_lite", "payload": []}
    yield "canonical_objects", {"idem_key": "odd:2", "canonical_format": "questionnaire_response", "payload": None}


def cells(row: Row, columns: Mapping[str, str]) -> tuple[Any, ...]:
    """As the backend keeps them."""
    kept: list[Any] = []
    for name, kind in columns.items():
        value = row.get(name)
        if value is not None and kind == "JSON":
            value = json.dumps(value)
        if value is not None and kind == "TIMESTAMP":
            value = f"{value.removesuffix('Z').partition('.')[0]}.{value[20:26].rstrip('Z').ljust(6, '0')}Z"
        kept.append(value)
    return tuple(kept)


@pytest.mark.parametrize("file", VIEWS, ids=lambda file: file.stem)
def test_a_view_gives_the_same_rows_on_both_engines(file: Path) -> None:
    pytest.importorskip("duckdb")
    (item,) = view_creator.execute(
        {"view": file.stem}, direct_context(resources={"view": file.read_bytes()})
    )["items"]  # fmt: skip
    relations = {
        (table.dataset, table.name): {column.name: column.type.value for column in table.columns} for table in TABLES
    }

    def resolve(name: TableName) -> Relation | None:
        columns = relations.get((name.dataset, name.table))
        return None if columns is None else Relation(f"{name.dataset}__{name.table}", columns)

    compiled = compile_select(item["sql"], tables=resolve)
    other = second_engine.to_duckdb(item["sql"])
    with closing(sqlite3.connect(":memory:")) as first, closing(second_engine.connect()) as second:
        register(first)
        for dataset in sorted({dataset for dataset, _ in relations} - {"raw"}):
            second.execute(f"CREATE SCHEMA {dataset}")
        for seed in range(2):
            rows = list(clinic(seed))
            for (dataset, table), columns in relations.items():
                found = [cells(row, columns) for name, row in rows if name == table]
                described = ", ".join(f'"{name}" {STORED_AS[Kind(kind)]}' for name, kind in columns.items())
                first.execute(f'DROP TABLE IF EXISTS "{dataset}__{table}"')
                first.execute(f'CREATE TABLE "{dataset}__{table}" ({described})')
                marks = ", ".join("?" for _ in columns)
                first.executemany(f'INSERT INTO "{dataset}__{table}" VALUES ({marks})', found)
                second_engine.fill(second, f"{dataset}.{table}", columns, found)

            here = second_engine.multiset(first.execute(compiled.sqlite_sql), compiled.columns)
            there = second_engine.multiset(second_engine.run(second, other, compiled.columns), compiled.columns)
            assert here == there
            assert sum(here.values()) > 2


def test_there_are_views_to_compare() -> None:
    assert len(VIEWS) >= 2
    assert {table for table, _ in clinic(0)} == set(clinic_rows.TABLES)
