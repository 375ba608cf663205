"""Every construct that is said to be proven gives the same rows on SQLite and on DuckDB."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lorchestra.cli.main import run
from lorchestra.errors import ConfigurationError
from lorchestra.storacle.sql import allowed, parity, second_engine, times
from lorchestra.storacle.sql.compilation import Relation, compile_select
from lorchestra.storacle.sql.constructs import COLUMNS, CONSTRUCTS, Construct
from lorchestra.storacle.sql.functions import register
from lorchestra.storacle.sql.parity import Engines

# No characters that lower and upper case differ on between engines, such as ß and İ: docs/sql.md says so.
_LETTERS = "aAbBgGlLmxX019 _%'\"\\;-.:éÉüÜЖж漢🙂"
_WORDS = st.text(alphabet=_LETTERS, max_size=8)
_SOURCES = st.sampled_from(["gmail", "Gmail", "GMAIL", "forms", "é", ""])

_moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))
_round_moments = _moments.map(lambda at: at.replace(minute=0, second=0, microsecond=0))
_timestamps = st.one_of(_moments, _round_moments).map(times.write)
_days = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 1, 1)).map(date.isoformat)

_texts = st.one_of(
    _WORDS,
    _SOURCES,
    st.integers(-(2**65), 2**65).map(str),
    st.integers(-99, 99).map(lambda number: f" {number:+d} "),
    st.decimals(min_value=-1000, max_value=1000, places=2).map(str),
    st.sampled_from(["true", "False", "TRUE", "t", "yes", "1e3", ".5", "5.", "-", "+", "2024-02-30"]),
    _days,
    _moments.map(lambda at: at.strftime("%Y-%m-%d %H:%M:%S")),
    _moments.map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.%f+02:00")),
    _moments.map(lambda at: at.strftime("%d.%m.%Y %H:%M")),
)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.integers(-8000, 8000).map(lambda eighths: eighths / 8),
    _WORDS,
    _SOURCES,
)
_KEYS = st.sampled_from(["id", "name", "list", "a b"])
_inner = st.one_of(_scalars, st.lists(_scalars, max_size=2), st.dictionaries(_KEYS, _scalars, max_size=2))
_values = st.one_of(_scalars, st.lists(_inner, max_size=3), st.dictionaries(_KEYS, _inner, max_size=3))
_payloads = st.one_of(
    st.fixed_dictionaries({}, optional={"name": _values, "a b": _values, "list": st.lists(_values, max_size=3)}).map(
        json.dumps
    ),
    _values.map(json.dumps),
    st.sampled_from(["", "not json", '{"name":', "{'name': 1}"]),
)


def _or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


_rows = st.lists(
    st.tuples(
        _or_none(_SOURCES),
        _or_none(_texts),
        _or_none(_payloads),
        _or_none(st.integers(-9, 9)),
        _or_none(st.integers(-4000, 4000).map(lambda eighths: eighths / 8)),
        _or_none(st.integers(0, 1)),
        _or_none(_timestamps),
        _or_none(_timestamps),
        _or_none(_days),
    ),
    min_size=1,
    max_size=12,
).map(lambda rows: [(f"k{number:02d}", *row) for number, row in enumerate(rows)])


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    pytest.importorskip("duckdb")
    engines = Engines()
    yield engines
    engines.close()


@pytest.fixture(scope="module")
def engines_with_samples() -> Iterator[Engines]:
    pytest.importorskip("duckdb")
    engines = Engines()
    engines.fill(parity.sample_rows())
    yield engines
    engines.close()


PROVEN = [one for one in CONSTRUCTS if one.is_proven]


@pytest.mark.parametrize("construct", PROVEN, ids=lambda one: one.name)
def test_both_engines_give_the_same_rows_on_what_they_are_known_to_differ_on(
    engines_with_samples: Engines, construct: Construct
) -> None:
    first, second = engines_with_samples.both(construct)

    assert first == second
    assert first, "an example without rows proves nothing"


# The rows of a difference are few, and making them fewer would take minutes. The same rows every time, since what a
# new one would find is more often the second engine's than ours.
repeatable = settings(deadline=None, phases=[Phase.generate], derandomize=True)


@settings(repeatable, max_examples=10)
@given(rows=_rows)
def test_both_engines_give_the_same_rows_on_any(engines: Engines, rows: list[tuple[Any, ...]]) -> None:
    expect_the_same(engines, rows)


@pytest.mark.prove
@settings(repeatable, max_examples=50)
@given(rows=_rows)
def test_both_engines_give_the_same_rows_on_very_many(engines: Engines, rows: list[tuple[Any, ...]]) -> None:
    expect_the_same(engines, rows)


def expect_the_same(engines: Engines, rows: list[tuple[Any, ...]]) -> None:
    engines.fill(rows)
    for construct in PROVEN:
        first, second = engines.both(construct)
        assert first == second, construct.name


@pytest.mark.parametrize("construct", [one for one in CONSTRUCTS if not one.is_proven], ids=lambda one: one.name)
def test_what_is_not_proven_still_runs_and_says_why(construct: Construct) -> None:
    connection = sqlite3.connect(":memory:")
    register(connection)
    described = ", ".join(f'"{name}"' for name in COLUMNS)
    connection.execute(f"CREATE TABLE t ({described})")
    connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' for _ in COLUMNS)})", parity.sample_rows())
    query = compile_select(construct.example, tables=lambda name: Relation("t", COLUMNS))

    assert connection.execute(query.sqlite_sql).fetchall()
    assert construct.why_not
    connection.close()


def test_every_function_that_is_allowed_has_an_example() -> None:
    examples = " ".join(one.example for one in CONSTRUCTS)
    spelled_otherwise = {"CEILING", "CHARACTER_LENGTH", "CHAR_LENGTH", "SUBSTRING"}

    missing = {name for name in allowed.FUNCTIONS - spelled_otherwise if f"{name}(" not in examples}

    assert missing <= {"TIMESTAMP"}
    assert len({one.name for one in CONSTRUCTS}) == len(CONSTRUCTS)


def test_every_function_that_is_allowed_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
    spelled_otherwise = {"CEILING", "CHARACTER_LENGTH", "CHAR_LENGTH", "SUBSTRING", "WEEK"}

    assert not {name for name in allowed.FUNCTIONS - spelled_otherwise if f"`{name}`" not in page}


def test_a_difference_would_be_found(engines_with_samples: Engines) -> None:
    first, second = engines_with_samples.both(next(one for one in CONSTRUCTS if one.name == "CAST of FLOAT64 to INT64"))

    assert first != second


def test_without_the_second_engine_the_comparison_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)

    with pytest.raises(ConfigurationError, match="duckdb is not installed"):
        second_engine.connect()


def test_the_command_lists_what_the_tests_go_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sql", "parity", "--json"]) == 0

    listed = {row["construct"]: row["proven"] for row in json.loads(capsys.readouterr().out)}
    assert listed == {one.name: one.is_proven for one in CONSTRUCTS}


def test_the_command_compares_the_engines_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("duckdb")

    assert run(["sql", "parity", "--run"]) == 0

    shown = capsys.readouterr().out
    assert "JSON_VALUE_ARRAY" in shown
    assert "not proven: the second engine" in shown
