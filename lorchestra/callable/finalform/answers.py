"""What was answered on a form, as the answers that a measure knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lorchestra.callable.finalform.measure import Answer, Measure
from lorchestra.callable.finalform.score import Reason, Responses


def plain(text: str) -> str:
    """What a text is compared by: neither its case nor the space around it counts."""
    return text.strip().casefold()


def meanings(answers: Sequence[Answer]) -> dict[str, set[int]]:
    """By what may be given for it, the value of each answer; more than one value is a mistake in the measure."""
    found: dict[str, set[int]] = {}
    for answer in answers:
        for text in (str(answer.value), *answer.texts):
            found.setdefault(plain(text), set()).add(answer.value)
    return found


class Matcher:
    """Finds the answers to the items of one measure among the answers to the questions of a form."""

    def __init__(self, measure: Measure, questions: Mapping[str, str]) -> None:
        """`questions` has the question of each item. The measure is taken to be sound (`measure_checks`)."""
        sets = {
            name: {given: value for given, (value,) in meanings(answers).items()}
            for name, answers in measure.answers.items()
        }
        self._items = [(item.id, questions.get(item.id), sets[item.answers]) for item in measure.items]

    def match(self, given: Mapping[str, Sequence[str]]) -> Responses:
        """`given` has the texts that were given for each question."""
        values: dict[str, int] = {}
        missing: dict[str, Reason] = {}
        for item, question, known in self._items:
            found = Reason.NOT_ASKED if question is None else _match(given.get(question, ()), known)
            if isinstance(found, Reason):
                missing[item] = found
            else:
                values[item] = found
        return Responses(values, missing)

    def is_answered(self, given: Mapping[str, Sequence[str]]) -> bool:
        """Whether anything at all was given for the items, known or not."""
        return any(
            plain(text) for _, question, _ in self._items if question is not None for text in given.get(question, ())
        )


def _match(texts: Sequence[str], known: Mapping[str, int]) -> int | Reason:
    given = {text for text in map(plain, texts) if text}
    if not given:
        return Reason.NOT_ANSWERED
    values = {known.get(text) for text in given}
    if None in values:
        return Reason.UNKNOWN_ANSWER
    if len(values) > 1:
        return Reason.SEVERAL_ANSWERS
    [value] = values
    assert value is not None
    return value
