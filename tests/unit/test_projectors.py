"""`view_creator` and `bq_reader`: what they make of their params, and what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable import bq_reader, dispatch_callable, view_creator
from lorchestra.callable.direct import direct_context
from lorchestra.clock import FixedClock
from lorchestra.errors import DefinitionError
from lorchestra.json_value import freeze

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
COPY: dict[str, Any] = {
    "source": {"dataset": "derived", "table": "proj_clients"},
    "path": "clinic.db",
    "table": "clients",
    "key_columns": ["email"],
}


def create(text: str | bytes, view: str = "calls") -> list[dict[str, Any]]:
    content = text.encode() if isinstance(text, str) else text
    items: list[dict[str, Any]] = view_creator.execute({"view": view}, direct_context(resources={"view": content}))[
        "items"
    ]
    return items


@pytest.mark.parametrize(
    "text",
    [
        "CREATE OR REPLACE VIEW derived.calls AS SELECT 1 AS one",
        "create or replace\n view `derived`.`calls` as\n\nSELECT 1 AS one;\n",
        "CREATE OR REPLACE VIEW `derived.calls` AS SELECT 1 AS one ;",
        "-- CREATE OR REPLACE VIEW a.b AS\n# x\n/* y\n */ CREATE OR REPLACE VIEW derived.calls AS SELECT 1 AS one",
    ],
)
def test_a_file_of_a_view_becomes_what_view_create_takes(text: str) -> None:
    assert create(text) == [{"dataset": "derived", "table": "calls", "sql": "SELECT 1 AS one"}]
    assert view_creator.resources({"view": "calls"}) == {"view": "sql/views/calls.sql"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1", "a file that makes no view"),
        ("", "a file that makes no view"),
        ("CREATE VIEW derived.calls AS SELECT 1", "a file that makes no view"),
        ("CREATE OR REPLACE TABLE derived.calls AS SELECT 1", "a file that makes no view"),
        ("CREATE OR REPLACE VIEW calls AS SELECT 1", "a file that makes no view"),
        ("CREATE OR REPLACE VIEW derived.calls AS ;", "a file that makes no view"),
        ("CREATE OR REPLACE VIEW derived.other AS SELECT 1", "a view in a file of another name"),
        (b"\xff", "a file that is not UTF-8"),
    ],
)
def test_a_file_that_makes_no_such_view_is_refused_with_its_name(text: str | bytes, said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        create(text)
    assert str(refused.value).startswith(f"sql/views/calls.sql:1:1: {said}")


@pytest.mark.parametrize("params", [{}, {"view": "../x"}, {"view": "a.b"}, {"view": 1}, {"view": "a", "dataset": "b"}])
def test_a_view_has_a_name_and_nothing_else(params: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="/params"):
        view_creator.resources(params)


def test_every_shipped_view_is_taken_apart() -> None:
    files = sorted((Path(__file__).parents[2] / "sql" / "views").glob("*.sql"))
    assert len(files) >= 2
    for file in files:
        (item,) = create(file.read_bytes(), file.stem)
        assert item["table"] == file.stem
        assert item["sql"].startswith(("SELECT", "WITH"))


def copy(params: dict[str, Any]) -> dict[str, Any]:
    (item,) = bq_reader.execute(freeze(params), direct_context(clock=FixedClock(NOW)))["items"]
    assert isinstance(item, dict)
    return item


def test_a_source_becomes_one_item_with_the_time() -> None:
    assert copy(COPY) == {**COPY, "root": "files", "projected_at": "2026-11-20T06:00:00+00:00"}
    (item,) = dispatch_callable("bq_reader", COPY).items or ()
    assert item["table"] == "clients"  # type: ignore[index]


def test_the_time_may_be_given_or_left_out() -> None:
    given = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))).isoformat()
    assert copy({**COPY, "projected_at": given})["projected_at"] == "2026-01-01T00:00:00+00:00"
    assert "projected_at" not in copy({**COPY, "projected_at": False})


def test_a_source_says_which_rows_and_columns() -> None:
    source = {
        **COPY["source"],
        "columns": ["email", "payload.a"],
        "where": {"left_at": None, "score": {"gte": 5}},
        "order_by": ["-score"],
        "limit": 0,
    }
    columns = [{"name": "email", "type": "STRING"}, {"name": "payload.a", "type": "JSON"}]

    item = copy({**COPY, "source": source, "columns": columns, "root": "copies"})

    assert (item["source"], item["columns"], item["root"]) == (source, columns, "copies")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": None}, "/params/source"),
        ({"source": {"dataset": "d"}}, "/params/source: the key 'table' is missing"),
        ({"source": {**COPY["source"], "unprocessed": "x"}}, "unknown key 'unprocessed'"),
        ({"key_columns": []}, "/params/key_columns"),
        ({"columns": [{"name": "a", "type": "TEXT"}]}, "/params/columns/0/type: found text; expected 'STRING'"),
        ({"projected_at": "2026-01-01T00:00:00"}, "/params/projected_at"),
        ({"projected_at": True}, "/params/projected_at"),
        ({"rows": []}, "unknown key 'rows'"),
    ],
)
def test_params_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        copy({**COPY, **changes})
    assert said in str(refused.value)
