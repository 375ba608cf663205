from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from lorchestra.settings import durations


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("1s", timedelta(seconds=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_number_and_a_unit_is_a_length_of_time(text: str, duration: timedelta) -> None:
    assert durations.parse(text) == duration


@pytest.mark.parametrize(
    "text", ["", "90", "d", "0d", "-1d", "1.5h", "90 d", "90d ", "90D", "1y", "٣d", "1234567d", "1d\n"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as '90d'"):
        durations.parse(text)


@given(st.integers(1, 999_999), st.sampled_from("smhdw"))
def test_what_is_rendered_reads_as_the_same(count: int, unit: str) -> None:
    duration = durations.parse(f"{count}{unit}")

    if count < 1000:
        assert durations.parse(durations.render(duration)) == duration
    assert durations.render(timedelta()) == "0s"


class Holder(BaseModel):
    keep: durations.Duration


def test_a_model_takes_the_text_or_the_time_and_writes_the_text() -> None:
    read = Holder.model_validate_json('{"keep": "90d"}', strict=True)

    assert read == Holder(keep=timedelta(days=90))
    assert read.model_dump_json() == '{"keep":"90d"}'
    with pytest.raises(ValidationError, match="found no length of time"):
        Holder.model_validate_json('{"keep": 90}')
