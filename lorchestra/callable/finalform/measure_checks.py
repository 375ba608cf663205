"""The mistakes of a measure or a binding that its schema cannot see, each with its place in the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from lorchestra.callable.finalform.answers import meanings
from lorchestra.callable.finalform.binding import Binding
from lorchestra.callable.finalform.measure import Measure, Scale
from lorchestra.callable.finalform.score import Scorer
from lorchestra.errors import Path, Problem, did_you_mean

_LOINC = re.compile(r"([0-9]{1,7})-([0-9])")
_LOINC_ANSWER = re.compile(r"LA[0-9]{1,7}-[0-9]")


def problems_of_measure(measure: Measure) -> Iterator[Problem]:
    """What is wrong with it; nothing, and it can be scored."""
    problems = [*_problems_of_answers(measure), *_problems_of_items(measure), *_problems_of_names(measure)]
    for number, scale in enumerate(measure.scales):
        problems += _problems_of_items_named(measure, scale, ("scales", number))
    for number, flag in enumerate(measure.flags):
        problems += _unknown_items(measure, flag.items, ("flags", number, "items"))
    problems += _problems_of_codes(measure)
    yield from problems
    if problems:
        return
    # Scores can be counted only where all else is right.
    scorer = Scorer(measure)
    for number, scale in enumerate(measure.scales):
        yield from _problems_of_bands(scale, scorer, ("scales", number, "bands"))


def problems_of_binding(binding: Binding, measures: Mapping[str, Measure]) -> Iterator[Problem]:
    """What is wrong with it; of the measures that it binds, those are looked at that are given."""
    for index in _repeated([bound.measure.partition("@")[0] for bound in binding.measures]):
        yield _problem(("measures", index, "measure"), "the measure is bound twice", "each measure once")
    questions = [(index, item, q) for index, bound in enumerate(binding.measures) for item, q in bound.items.items()]
    for position in _repeated([question for _, _, question in questions]):
        index, name, _ = questions[position]
        yield _problem(
            ("measures", index, "items", name), "the question is bound twice", "a question that no other item has"
        )
    for index, bound in enumerate(binding.measures):
        measure = measures.get(bound.measure)
        if measure is None:
            continue
        path: Path = ("measures", index, "items")
        yield from _unknown_items(measure, bound.items, path)
        for item in measure.items:
            if item.id not in bound.items and not item.optional:
                yield _problem(path, f"item '{item.id}' is missing", "a question for every item that is not optional")


def _problems_of_answers(measure: Measure) -> Iterator[Problem]:
    for name, answers in measure.answers.items():
        for index in _repeated([answer.value for answer in answers]):
            yield _problem(("answers", name, index, "value"), "the value is there twice", "each value once")
        twice = {given for given, values in meanings(answers).items() if len(values) > 1}
        if twice:
            listing = ", ".join(f"'{given}'" for given in sorted(twice))
            yield _problem(("answers", name), f"{listing} may mean several answers", "one meaning for each text")


def _problems_of_items(measure: Measure) -> Iterator[Problem]:
    for index, item in enumerate(measure.items):
        if item.answers not in measure.answers:
            yield _unknown(("items", index, "answers"), "set of answers", item.answers, measure.answers)
    for index in _repeated([item.id for item in measure.items]):
        yield _problem(("items", index, "id"), "the item is there twice", "each item once")


def _problems_of_names(measure: Measure) -> Iterator[Problem]:
    """Every observation of an event has a scale_id of its own."""
    names: list[tuple[Path, str]] = [
        (("items", n), measure.item_scale_id(item)) for n, item in enumerate(measure.items)
    ]
    names += [(("scales", n, "id"), scale.id) for n, scale in enumerate(measure.scales)]
    names += [(("flags", n, "id"), flag.id) for n, flag in enumerate(measure.flags)]
    for position in _repeated([name for _, name in names]):
        path, name = names[position]
        if path[0] != "items":
            yield _problem(path, f"'{name}' is there twice", "a name that no item, scale or flag has")


def _problems_of_items_named(measure: Measure, scale: Scale, path: Path) -> Iterator[Problem]:
    yield from _unknown_items(measure, scale.items, (*path, "items"))
    for index in _repeated(scale.items):
        yield _problem((*path, "items", index), "the item is there twice", "each item once")
    for index, item in enumerate(scale.reversed):
        if item not in scale.items:
            yield _unknown((*path, "reversed", index), "item of the scale", item, scale.items)
    if scale.gate is not None:
        yield from _unknown_items(measure, [scale.gate.item], (*path, "gate", "item"))
        if scale.gate.item in scale.items:
            yield _problem((*path, "gate", "item"), "the gate is an item of the scale", "another item")
    if scale.missing_at_most >= len(scale.items):
        yield _problem(
            (*path, "missing_at_most"),
            "all items may be missing",
            f"at most {len(scale.items) - 1}, since there is no score without any answer",
        )
    if scale.missing_at_most and len({_range_of(measure, item) for item in scale.items}) > 1:
        yield _problem(
            (*path, "missing_at_most"),
            "items may be missing, and they have different ranges",
            "0, since the others are no measure of a missing one",
        )


def _range_of(measure: Measure, name: str) -> tuple[int, int] | None:
    for item in measure.items:
        if item.id == name and item.answers in measure.answers:
            values = [answer.value for answer in measure.answers[item.answers]]
            return min(values), max(values)
    # Reported elsewhere.
    return None


def _problems_of_bands(scale: Scale, scorer: Scorer, path: Path) -> Iterator[Problem]:
    if not scale.bands:
        return
    reachable = scorer.reachable(scale)
    expected = min(reachable)
    for index, band in enumerate(scale.bands):
        if band.min != expected:
            yield _problem(
                (*path, index, "min"), f"the band begins at {band.min}", f"{expected}, so that no score has two or none"
            )
        if band.max < band.min:
            yield _problem((*path, index, "max"), f"the band ends at {band.max}", f"{band.min} or more")
        expected = band.max + 1
    if expected - 1 != max(reachable):
        yield _problem(
            (*path, len(scale.bands) - 1, "max"), f"the last band ends at {expected - 1}", str(max(reachable))
        )


def _problems_of_codes(measure: Measure) -> Iterator[Problem]:
    codes: list[tuple[Path, str | None]] = [(("loinc",), measure.loinc)]
    codes += [(("items", n, "loinc"), item.loinc) for n, item in enumerate(measure.items)]
    codes += [(("scales", n, "loinc"), scale.loinc) for n, scale in enumerate(measure.scales)]
    for path, code in codes:
        if code is not None and not is_loinc(code):
            yield _problem(path, f"'{code}' is no LOINC code", "digits, '-' and the check digit that belongs to them")
    for name, answers in measure.answers.items():
        for index, answer in enumerate(answers):
            if answer.loinc is not None and not _LOINC_ANSWER.fullmatch(answer.loinc):
                yield _problem(
                    ("answers", name, index, "loinc"), f"'{answer.loinc}' is no LOINC answer code", "LA<digits>-<digit>"
                )


def is_loinc(code: str) -> bool:
    """Whether the check digit (modulus 10) of a LOINC code fits, so that a mistyped one is found."""
    match = _LOINC.fullmatch(code)
    if match is None:
        return False
    digits = [int(digit) for digit in reversed(match[1])]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[::2]]
    return (sum(doubled) + sum(digits[1::2]) + int(match[2])) % 10 == 0


def _unknown_items(measure: Measure, items: Iterable[str], path: Path) -> Iterator[Problem]:
    known = [item.id for item in measure.items]
    for index, item in enumerate(items):
        if item not in known:
            # The items of a binding are keys.
            place: str | int = index if path[0] in ("scales", "flags") else item
            yield _unknown(path if path[-1] == "item" else (*path, place), "item", item, known)


def _unknown(path: Path, what: str, name: str, known: Iterable[str]) -> Problem:
    known = list(known)
    return Problem(
        found=f"'{name}' names no {what}",
        expected=f"expected one of {', '.join(known)}",
        hint=did_you_mean(name, known),
        path=path,
    )


def _repeated(values: Collection[object]) -> list[int]:
    """The positions of what was there before."""
    seen: Counter[object] = Counter()
    positions = []
    for position, value in enumerate(values):
        if seen[value]:
            positions.append(position)
        seen[value] += 1
    return positions


def _problem(path: Path, found: str, expected: str) -> Problem:
    return Problem(found=found, expected=f"expected {expected}", path=path)
