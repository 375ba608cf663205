"""Which runs retention lets go."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.run_store.retention import RunEnd, expired
from tests.factories import at


def family(*ends: tuple[str, str | None, datetime | None]) -> list[RunEnd]:
    return [RunEnd(run_id=run_id, parent_run_id=parent, ended_at=ended) for run_id, parent, ended in ends]


@pytest.mark.parametrize(
    ("runs", "gone"),
    [
        ([], ()),
        ([("a", None, at(1))], ("a",)),
        ([("a", None, at(10))], ()),
        ([("a", None, None)], ()),
        ([("a", "unknown", at(1))], ("a",)),
        ([("a", None, at(1)), ("b", "a", None)], ()),
        ([("b", "a", at(1)), ("a", None, at(10))], ()),
        ([("c", "b", at(1)), ("b", "a", at(2)), ("a", None, at(3)), ("d", None, None)], ("a", "b", "c")),
        ([("a", None, at(1)), ("b", "a", at(1)), ("c", "a", at(11))], ()),
    ],
)
def test_a_family_goes_when_all_of_it_ended_before_the_time(
    runs: list[tuple[str, str | None, datetime | None]], gone: tuple[str, ...]
) -> None:
    assert expired(family(*runs), at(10)) == gone


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 20)), max_size=10))
def test_a_run_that_stays_keeps_its_parent_and_its_children(shape: list[tuple[int, int | None]]) -> None:
    runs = [
        RunEnd(
            run_id=str(number),
            parent_run_id=str(parent) if parent < number else None,
            ended_at=None if minutes is None else at(minutes),
        )
        for number, (parent, minutes) in enumerate(shape)
    ]
    gone = set(expired(runs, at(10)))
    assert all((run.run_id in gone) == (run.parent_run_id in gone) for run in runs if run.parent_run_id is not None)
    assert all(run.ended_at is not None and run.ended_at < at(10) for run in runs if run.run_id in gone)
