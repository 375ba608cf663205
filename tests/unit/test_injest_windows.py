"""Windows of time cover a range without a gap, each with no more than fits on a page."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lorchestra.callable.injest.windows import Windows

PAGE = 3


def walk(windows: Windows, seconds: list[int]) -> list[tuple[int | None, int | None, int]]:
    """The windows that are fetched, with how many of the seconds are in each."""
    done = []
    while not windows.is_done:
        count = sum(1 for one in seconds if one >= (windows.since or -1) and one < (windows.until or 10**9))
        if count > PAGE and windows.narrow():
            continue
        done.append((windows.since, windows.until, count))
        windows.advance()
    return done


@given(
    seconds=st.lists(st.integers(0, 5000)),
    begin=st.none() | st.integers(0, 4000),
    end=st.integers(0, 5000),
    is_open=st.booleans(),
)
def test_all_of_a_range_is_fetched_once_in_windows_that_fit(
    seconds: list[int], begin: int | None, end: int, is_open: bool
) -> None:
    done = walk(Windows(begin, end, is_open=is_open), seconds)

    wanted = [one for one in seconds if one >= (begin or 0) and (is_open or one < end)]
    assert sum(count for _, _, count in done) == len(wanted)
    assert all(one[1] == other[0] for one, other in pairwise(done))
    for since, until, count in done:
        length = (until if until is not None else max(end, since or 0)) - (since or 0)
        assert count <= PAGE or length < 2


def test_a_range_that_fits_is_one_window() -> None:
    assert walk(Windows(10, 20, is_open=True), [12, 15]) == [(10, None, 2)]
    assert walk(Windows(10, 20, is_open=False), [12, 15]) == [(10, 20, 2)]
    assert walk(Windows(None, 20, is_open=True), []) == [(None, None, 0)]


def test_a_range_without_an_end_has_its_last_window_without_one_however_much_is_in_it() -> None:
    assert walk(Windows(10, 12, is_open=True), [11, 30, 30, 30, 30]) == [(10, 11, 0), (11, None, 5)]
