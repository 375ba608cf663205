"""From answers to scores: tables worked out by hand, and laws held against arithmetic written anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorchestra.callable.finalform.answers import Matcher
from lorchestra.callable.finalform.measure import Measure
from lorchestra.callable.finalform.score import (
    NoScore,
    NotRaised,
    Raised,
    Reason,
    Responses,
    Score,
    Scorer,
    Unclear,
    prorate,
)
from tests.forms import mood, read, shipped

SHIPPED = ("phq9", "gad7", "pss_10")


def responses(measure: Measure, answers: Sequence[object]) -> Responses:
    """What is matched when the items are answered in this order, None where there is no answer."""
    questions = {item.id: f"q{item.id}" for item in measure.items}
    texts = {f"q{item.id}": _texts(answer) for item, answer in zip(measure.items, answers, strict=False)}
    return Matcher(measure, questions).match(texts)


def _texts(answer: object) -> tuple[str, ...]:
    if isinstance(answer, list):
        return tuple(map(str, answer))
    return () if answer is None else (str(answer),)


def score(measure: Measure, answers: Sequence[object], scale: int = 0) -> Score | NoScore:
    return Scorer(measure).score(measure.scales[scale], responses(measure, answers))


def told(measure: Measure, answers: Sequence[object], scale: int = 0) -> tuple[int | None, str | None]:
    """The score and its label, or the reason why there is none."""
    match score(measure, answers, scale):
        case Score(value=value, band=band):
            return value, band and band.label  # type: ignore[return-value]  # a band or None, so a label or None
        case NoScore(reason=reason):
            return None, reason.value


# The shipped measures, by hand


@pytest.mark.parametrize(
    ("measure", "answers", "expected"),
    [
        ("phq9", [0] * 9, (0, "minimal")),
        ("phq9", [1, 1, 1, 1, 0, 0, 0, 0, 0], (4, "minimal")),
        ("phq9", [1, 1, 1, 1, 1, 0, 0, 0, 0], (5, "mild")),
        ("phq9", [1] * 9, (9, "mild")),
        ("phq9", [2, 1, 1, 1, 1, 1, 1, 1, 1], (10, "moderate")),
        ("phq9", [2, 2, 2, 2, 2, 2, 2, 0, 0], (14, "moderate")),
        ("phq9", [3, 3, 3, 3, 3, 0, 0, 0, 0], (15, "moderately severe")),
        ("phq9", [3, 3, 3, 3, 3, 3, 1, 0, 0], (19, "moderately severe")),
        ("phq9", [3, 3, 3, 3, 3, 3, 2, 0, 0], (20, "severe")),
        ("phq9", [3] * 9, (27, "severe")),
        # 4 x 9 / 8 = 4.5, which is 5, and so mild.
        ("phq9", [1, 1, 1, 1, 0, 0, 0, 0, None], (5, "mild")),
        # 7 x 9 / 7 = 9.
        ("phq9", [None, 1, 1, 1, 1, 1, 1, 1, None], (9, "mild")),
        # 15 x 9 / 7 = 19.29.
        ("phq9", [None, None, 3, 3, 3, 3, 3, 0, 0], (19, "moderately severe")),
        ("phq9", [None, None, None, 1, 1, 1, 1, 1, 1], (None, "too_many_missing")),
        ("phq9", [None] * 9, (None, "too_many_missing")),
        ("phq9", ["a lot", 1, 1, 1, 1, 1, 1, 1, 1], (None, "unknown_answer")),
        ("phq9", [[0, 1], 1, 1, 1, 1, 1, 1, 1, 1], (None, "several_answers")),
        ("gad7", [0] * 7, (0, "minimal")),
        ("gad7", [1, 1, 1, 1, 0, 0, 0], (4, "minimal")),
        ("gad7", [1, 1, 1, 1, 1, 0, 0], (5, "mild")),
        ("gad7", [3, 3, 3, 0, 0, 0, 0], (9, "mild")),
        ("gad7", [3, 3, 3, 1, 0, 0, 0], (10, "moderate")),
        ("gad7", [2] * 7, (14, "moderate")),
        ("gad7", [3, 2, 2, 2, 2, 2, 2], (15, "severe")),
        ("gad7", [3] * 7, (21, "severe")),
        # 12 x 7 / 6 = 14.
        ("gad7", [2, 2, 2, 2, 2, 2, None], (14, "moderate")),
        # 3 x 7 / 6 = 3.5, which is 4; 15 x 7 / 6 = 17.5, which is 18.
        ("gad7", [3, 0, 0, 0, 0, 0, None], (4, "minimal")),
        ("gad7", [3, 3, 3, 3, 3, 0, None], (18, "severe")),
        ("gad7", [None, None, 1, 1, 1, 1, 1], (None, "too_many_missing")),
        # Items 4, 5, 7 and 8 count the other way round.
        ("pss_10", [0] * 10, (16, "moderate")),
        ("pss_10", [4] * 10, (24, "moderate")),
        ("pss_10", [0, 0, 0, 4, 4, 0, 4, 4, 0, 0], (0, "low")),
        ("pss_10", [4, 4, 4, 0, 0, 4, 0, 0, 4, 4], (40, "high")),
        ("pss_10", [3, 3, 3, 1, 2, 3, 2, 2, 3, 2], (26, "moderate")),
        ("pss_10", [3, 3, 3, 1, 2, 3, 2, 2, 3, 3], (27, "high")),
        ("pss_10", [1, 2, 1, 3, 3, 1, 3, 3, 2, 2], (13, "low")),
        # Without item 10: 11 x 10 / 9 = 12.2; with item 4 missing: 12 x 10 / 9 = 13.3.
        ("pss_10", [1, 2, 1, 3, 3, 1, 3, 3, 2, None], (12, "low")),
        ("pss_10", [1, 2, 1, None, 3, 1, 3, 3, 2, 2], (13, "low")),
        ("pss_10", [1, 2, 1, None, 3, 1, 3, 3, 2, None], (None, "too_many_missing")),
    ],
)
def test_golden_scores(measure: str, answers: list[Any], expected: tuple[int | None, str]) -> None:
    assert told(shipped(measure), answers) == expected


def test_prorated_score_says_so_and_how_many_items_it_stands_on() -> None:
    assert score(shipped("phq9"), [1] * 9) == Score(
        value=9, band=shipped("phq9").scales[0].bands[1], answered=9, is_prorated=False
    )
    prorated = score(shipped("phq9"), [1] * 8)
    assert isinstance(prorated, Score)
    assert (prorated.is_prorated, prorated.answered) == (True, 8)


@pytest.mark.parametrize(("measure", "others"), [("phq9", 9), ("gad7", 7)])
def test_difficulty_is_a_scale_of_its_own_and_no_part_of_the_total(measure: str, others: int) -> None:
    assert told(shipped(measure), [0] * others + ["Very difficult"]) == (0, "minimal")
    assert told(shipped(measure), [0] * others + ["Very difficult"], scale=1) == (2, "very difficult")
    assert told(shipped(measure), [0] * others, scale=1) == (None, "not_answered")


# The flag


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([0] * 9, NotRaised()),
        ([3] * 8 + [0], NotRaised()),
        ([0] * 8 + [1], Raised(("9",))),
        ([0] * 8 + ["NEARLY every day "], Raised(("9",))),
        # There is no score, and the flag is raised all the same.
        ([None] * 8 + [2], Raised(("9",))),
        (["a lot"] * 8 + [1], Raised(("9",))),
        ([0] * 8, Unclear(Reason.NOT_ANSWERED)),
        ([0] * 8 + ["perhaps"], Unclear(Reason.UNKNOWN_ANSWER)),
        ([0] * 8 + [[0, 1]], Unclear(Reason.SEVERAL_ANSWERS)),
    ],
)
def test_item_9_of_phq9_above_zero_is_flagged_scored_or_not(answers: list[Any], expected: object) -> None:
    phq9 = shipped("phq9")
    assert Scorer(phq9).flag(phq9.flags[0], responses(phq9, answers)) == expected


# Answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        (" 2 ", 2),
        ("Several days", 1),
        ("\tSEVERAL DAYS\n", 1),
        ("Over half the days", 2),
        ("more than half the days", 2),
        ("several  days", Reason.UNKNOWN_ANSWER),
        ("4", Reason.UNKNOWN_ANSWER),
        ("-1", Reason.UNKNOWN_ANSWER),
        ("1.0", Reason.UNKNOWN_ANSWER),
        ("", Reason.NOT_ANSWERED),
        (" ", Reason.NOT_ANSWERED),
        (None, Reason.NOT_ANSWERED),
        (["several days", "1", ""], 1),
        (["0", "several days"], Reason.SEVERAL_ANSWERS),
        (["0", "perhaps"], Reason.UNKNOWN_ANSWER),
    ],
)
def test_answers_are_matched_by_number_or_text(text: object, expected: int | Reason) -> None:
    matched = responses(shipped("phq9"), [text])
    assert matched.values.get("1", matched.missing.get("1")) == expected


def test_item_that_the_form_does_not_have_was_not_asked() -> None:
    phq9 = shipped("phq9")
    without = Matcher(phq9, {item.id: item.id for item in phq9.items if not item.optional})
    assert without.match({}).missing["10"] is Reason.NOT_ASKED


# What other measures need of the format


def test_sum_may_be_multiplied_and_is_rounded_once() -> None:
    doubled = read(mood(scale={"multiplier": 2, "reversed": [], "bands": []}))
    assert told(doubled, [2, 1, 1]) == (8, None)
    # 2 x 3 x 3 / 2 = 9, where rounding first would give 10.
    assert told(doubled, [2, 1, None]) == (9, None)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["yes", "yes", "no", "yes"], (2, None)),
        (["no", None, None, None], (0, None)),
        (["no", "no", "no", "yes"], (None, "gate_contradicted")),
        (["no", "perhaps", None, None], (None, "gate_contradicted")),
        ([None, "yes", "no", "yes"], (None, "gate_unanswered")),
        (["perhaps", None, None, None], (None, "gate_unanswered")),
        (["yes", "yes", None, "yes"], (None, "too_many_missing")),
    ],
)
def test_gate_decides_whether_items_are_asked(answers: list[Any], expected: tuple[int | None, str | None]) -> None:
    screen = mood(
        answers={"yes_no": [{"value": 0, "texts": ["no"]}, {"value": 1, "texts": ["yes"]}]},
        items=[{"id": name, "answers": "yes_no"} for name in ("exposed", "a", "b", "c")],
        scale={
            "reversed": [],
            "missing_at_most": 0,
            "bands": [],
            "gate": {"item": "exposed", "at_least": 1, "otherwise": 0},
        },
    )
    assert told(read(screen), answers) == expected
    screen["scales"][0]["gate"]["otherwise"] = None
    assert told(read(screen), ["no"]) == (None, "gate_closed")


def test_scales_of_one_measure_have_missing_rules_of_their_own() -> None:
    facets = mood(scale={"id": "mood_domain", "bands": [], "missing_at_most": 2, "reversed": []})
    facets["scales"].append({"id": "mood_facet", "title": "Facet", "items": ["a", "b"]})
    assert told(read(facets), [2, None, None]) == (6, None)
    assert told(read(facets), [2, None, None], scale=1) == (None, "too_many_missing")


# Laws


@pytest.mark.parametrize("name", SHIPPED)
def test_every_score_that_can_be_reached_is_in_exactly_one_band(name: str) -> None:
    measure = shipped(name)
    for scale in measure.scales:
        [(least, most)] = {_ends(measure, item) for item in scale.items}
        items = len(scale.items)
        # All items are answered from `least` to `most` by ones, so each sum in between can be had with each number.
        every = {
            floor(Fraction(total * items, answered) + Fraction(1, 2))
            for answered in range(items - scale.missing_at_most, items + 1)
            for total in range(least * answered, most * answered + 1)
        }
        assert every == Scorer(measure).reachable(scale)
        for value in every:
            assert len([band for band in scale.bands if band.min <= value <= band.max]) == 1
        assert (scale.bands[0].min, scale.bands[-1].max) == (least * items, most * items)


def _ends(measure: Measure, item_id: str) -> tuple[int, int]:
    [item] = [item for item in measure.items if item.id == item_id]
    values = [answer.value for answer in measure.answers[item.answers]]
    assert values == list(range(values[0], values[-1] + 1))
    return values[0], values[-1]


def test_what_can_be_reached_is_what_is_reached_with_all_ways_to_answer() -> None:
    measure = read(mood())
    ways = [[a, b, c] for a in (None, 0, 1, 2) for b in (None, 0, 1, 2) for c in (None, 0, 1, 2)]
    reached = {value for value, _ in (told(measure, way) for way in ways) if value is not None}
    assert reached == Scorer(measure).reachable(measure.scales[0])


_WAYS: Mapping[str, tuple[int, int, int, frozenset[int]]] = {
    # items, highest answer, missing allowed, reversed (from 0)
    "phq9": (9, 3, 2, frozenset()),
    "gad7": (7, 3, 1, frozenset()),
    "pss_10": (10, 4, 1, frozenset({3, 4, 6, 7})),
}


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=60)
@given(data=st.data())
def test_score_is_what_decimal_arithmetic_gives(name: str, data: st.DataObject) -> None:
    items, highest, allowed, is_reversed = _WAYS[name]
    answers = data.draw(st.lists(st.none() | st.integers(0, highest), min_size=items, max_size=items))
    counted = [highest - n if at in is_reversed else n for at, n in enumerate(answers) if n is not None]
    value, label = told(shipped(name), answers)
    if items - len(counted) > allowed:
        assert (value, label) == (None, "too_many_missing")
        return
    mean = Decimal(sum(counted)) * items / len(counted)
    assert value == int(mean.quantize(Decimal(1), rounding=ROUND_HALF_UP))


@given(total=st.integers(0, 600), answered=st.integers(1, 120), missing=st.integers(0, 3))
def test_prorating_rounds_half_up(total: int, answered: int, missing: int) -> None:
    items = answered + missing
    assert prorate(total, items=items, answered=answered) == floor(Fraction(total * items, answered) + Fraction(1, 2))
