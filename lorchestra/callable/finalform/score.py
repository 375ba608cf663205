"""From answers to scores and flags: pure, and never a number that the answers do not give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from lorchestra.callable.finalform.measure import Band, Flag, Gate, Measure, Scale


class Reason(StrEnum):
    """Why there is no value."""

    NOT_ASKED = "not_asked"
    """The form does not have the item."""
    NOT_ANSWERED = "not_answered"
    UNKNOWN_ANSWER = "unknown_answer"
    """What was answered is no answer of the item."""
    SEVERAL_ANSWERS = "several_answers"
    TOO_MANY_MISSING = "too_many_missing"
    GATE_CLOSED = "gate_closed"
    """The items of the scale are not asked of whoever answers the gate like this."""
    GATE_UNANSWERED = "gate_unanswered"
    GATE_CONTRADICTED = "gate_contradicted"
    """The gate says that the items are not asked, and some are answered."""


# Somebody answered, and the answer is not understood: to leave it out of the sum would be to guess it.
_UNCLEAR = (Reason.UNKNOWN_ANSWER, Reason.SEVERAL_ANSWERS)


@dataclass(frozen=True, slots=True)
class Responses:
    """Of every item of a measure, the value answered or the reason why there is none."""

    values: Mapping[str, int]
    missing: Mapping[str, Reason] = field(default_factory=lambda: MappingProxyType({}))

    def reason(self, item: str) -> Reason:
        """Why the item has no value."""
        return self.missing.get(item, Reason.NOT_ASKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    value: int
    band: Band | None
    answered: int

    is_prorated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoScore:
    reason: Reason
    answered: int


@dataclass(frozen=True, slots=True)
class Raised:
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotRaised:
    pass


@dataclass(frozen=True, slots=True)
class Unclear:
    reason: Reason


FlagState: TypeAlias = Raised | NotRaised | Unclear


class Scorer:
    """Scores the scales and flags of one measure. The measure is taken to be sound (`measure_checks`)."""

    def __init__(self, measure: Measure) -> None:
        self._values = {
            item.id: tuple(answer.value for answer in measure.answers[item.answers]) for item in measure.items
        }

    def score(self, scale: Scale, responses: Responses) -> Score | NoScore:
        answered = [item for item in scale.items if item in responses.values]
        if scale.gate is not None:
            closed = self._at_gate(scale, scale.gate, responses, len(answered))
            if closed is not None:
                return closed
        missing = [responses.reason(item) for item in scale.items if item not in responses.values]
        reason = _reason_for_none(scale, missing)
        if reason is not None:
            return NoScore(reason=reason, answered=len(answered))
        total = sum(self._counted(scale, item, responses.values[item]) for item in answered)
        value = prorate(total * scale.multiplier, items=len(scale.items), answered=len(answered))
        return Score(value=value, band=band_of(scale, value), answered=len(answered), is_prorated=len(missing) > 0)

    def flag(self, flag: Flag, responses: Responses) -> FlagState:
        raised = tuple(item for item in flag.items if responses.values.get(item, flag.at_least - 1) >= flag.at_least)
        if raised:
            return Raised(raised)
        unknown = next((responses.reason(item) for item in flag.items if item not in responses.values), None)
        return NotRaised() if unknown is None else Unclear(unknown)

    def reachable(self, scale: Scale) -> frozenset[int]:
        """Every score the scale can have, with each pattern of missing items that it allows."""
        # How many are missing, and the sum of the others.
        states = {(0, 0)}
        for item in scale.items:
            counted = {self._counted(scale, item, value) for value in self._values[item]}
            states = {(missing, total + value) for missing, total in states for value in counted} | {
                (missing + 1, total) for missing, total in states if missing < scale.missing_at_most
            }
        items = len(scale.items)
        scores = {
            prorate(total * scale.multiplier, items=items, answered=items - missing)
            for missing, total in states
            if missing < items
        }
        if scale.gate is not None and scale.gate.otherwise is not None:
            scores.add(scale.gate.otherwise)
        return frozenset(scores)

    def range_of(self, scale: Scale) -> tuple[int, int]:
        """The lowest and the highest score of the scale."""
        values = [self._values[item] for item in scale.items]
        ends = [sum(map(min, values)) * scale.multiplier, sum(map(max, values)) * scale.multiplier]
        if scale.gate is not None and scale.gate.otherwise is not None:
            ends.append(scale.gate.otherwise)
        return min(ends), max(ends)

    def _counted(self, scale: Scale, item: str, value: int) -> int:
        if item not in scale.reversed:
            return value
        values = self._values[item]
        return min(values) + max(values) - value

    def _at_gate(self, scale: Scale, gate: Gate, responses: Responses, answered: int) -> Score | NoScore | None:
        """What the gate alone decides; None where the items do."""
        value = responses.values.get(gate.item)
        if value is None:
            return NoScore(reason=Reason.GATE_UNANSWERED, answered=answered)
        if value >= gate.at_least:
            return None
        # An unclear answer, too, is one that should not be there.
        if answered or any(responses.reason(item) in _UNCLEAR for item in scale.items):
            return NoScore(reason=Reason.GATE_CONTRADICTED, answered=answered)
        if gate.otherwise is None:
            return NoScore(reason=Reason.GATE_CLOSED, answered=0)
        return Score(value=gate.otherwise, band=band_of(scale, gate.otherwise), answered=0)


def prorate(total: int, *, items: int, answered: int) -> int:
    """The total of some items as that of all, rounded half up."""
    return (2 * total * items + answered) // (2 * answered)


def band_of(scale: Scale, value: int) -> Band | None:
    return next((band for band in scale.bands if band.min <= value <= band.max), None)


def _reason_for_none(scale: Scale, missing: Iterable[Reason]) -> Reason | None:
    reasons = list(missing)
    for unclear in _UNCLEAR:
        if unclear in reasons:
            return unclear
    if len(reasons) <= scale.missing_at_most:
        return None
    return reasons[0] if len(scale.items) == 1 else Reason.TOO_MANY_MISSING
