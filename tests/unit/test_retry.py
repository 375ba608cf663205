import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra import retry
from lorchestra.errors import PermanentError, TransientError
from lorchestra.retry import GiveUp, Retry
from lorchestra.schemas import RetryPolicy

STEADY = RetryPolicy(max_retries=3, initial_delay_seconds=2, backoff_multiplier=3, max_delay_seconds=10, jitter=False)


def no_luck() -> float:
    return 0.0


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 2), (2, 6), (3, 10)])
def test_pauses_grow_up_to_the_longest(failures: int, delay_s: float) -> None:
    assert retry.decide(STEADY, TransientError("x"), failures=failures, random=no_luck) == Retry(delay_s)


def test_it_gives_up_after_the_last_retry() -> None:
    assert retry.decide(STEADY, TransientError("x"), failures=4, random=no_luck) == GiveUp()


@pytest.mark.parametrize("error", [PermanentError("x"), ValueError("x"), SystemExit(1)])
def test_only_transient_errors_are_tried_again(error: BaseException) -> None:
    assert retry.decide(STEADY, error, failures=1, random=no_luck) == GiveUp()


def test_without_a_policy_nothing_is_tried_again() -> None:
    assert retry.decide(None, TransientError("x"), failures=1, random=no_luck) == GiveUp()


def test_a_pause_the_peer_asks_for_is_not_cut_short() -> None:
    error = TransientError("x", retry_after=99)
    assert retry.decide(STEADY, error, failures=1, random=no_luck) == Retry(99)


@given(
    failures=st.integers(1, 100),
    luck=st.floats(0, 1, exclude_max=True),
    retry_after=st.none() | st.floats(0, 1e6),
)
def test_with_jitter_a_pause_lies_between_half_and_all_of_it(
    failures: int, luck: float, retry_after: float | None
) -> None:
    plain = RetryPolicy(max_retries=100, jitter=False)
    spread = RetryPolicy(max_retries=100, jitter=True)
    error = TransientError("x", retry_after=retry_after)
    longest = retry.decide(plain, error, failures=failures, random=no_luck)
    actual = retry.decide(spread, error, failures=failures, random=lambda: luck)
    assert isinstance(longest, Retry)
    assert isinstance(actual, Retry)
    assert longest.delay_s / 2 <= actual.delay_s <= longest.delay_s
    assert actual.delay_s >= (retry_after or 0)
