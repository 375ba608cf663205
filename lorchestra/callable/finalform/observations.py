"""Observations: of a measurement event, what each item, scale and flag of the measure says.

An event gives the same observations whatever was answered, so that a corrected one leaves none behind: what has no
value has a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from lorchestra import idem_key
from lorchestra.callable.finalform.events import Row, id_of
from lorchestra.callable.finalform.measure import Answer, Flag, Item, Measure, Scale
from lorchestra.callable.finalform.response import Misfit
from lorchestra.callable.finalform.score import NoScore, NotRaised, Raised, Reason, Responses, Score, Scorer, Unclear
from lorchestra.errors import Path
from lorchestra.json_value import JSONObject


class Observer:
    """Makes the rows of `observations` that the events of one measure give."""

    def __init__(self, measure: Measure, *, processed_at: str) -> None:
        self._measure = measure
        self._scorer = Scorer(measure)
        self._ranges = {scale.id: self._scorer.range_of(scale) for scale in measure.scales}
        self._answers = {
            item.id: {answer.value: answer for answer in measure.answers[item.answers]} for item in measure.items
        }
        self._processed_at = processed_at

    def observations(self, event: JSONObject) -> Iterator[Row]:
        """Raises Misfit for an event that this version of the measure does not give."""
        if event.get("measure_version") != self._measure.version:
            raise Misfit(("measure_version",), "const")
        responses = self._responses(event.get("payload"))
        for item in self._measure.items:
            yield self._row(event, self._measure.item_scale_id(item), "item", self._of_item(item, responses))
        for scale in self._measure.scales:
            yield self._row(event, scale.id, "scale", self._of_scale(scale, responses))
        for flag in self._measure.flags:
            yield self._row(event, flag.id, "flag", self._of_flag(flag, responses))

    def _of_item(self, item: Item, responses: Responses) -> Row:
        about = {"item": item.id, "loinc": item.loinc}
        if item.id not in responses.values:
            return _says(about, reason=responses.reason(item.id))
        answer: Answer = self._answers[item.id][responses.values[item.id]]
        return _says({**about, "answer_loinc": answer.loinc}, value=answer.value, label=answer.texts[0])

    def _of_scale(self, scale: Scale, responses: Responses) -> Row:
        least, most = self._ranges[scale.id]
        score = self._scorer.score(scale, responses)
        about = {
            "loinc": scale.loinc,
            "min": least,
            "max": most,
            "items": len(scale.items),
            "answered": score.answered,
            "missing": [item for item in scale.items if item not in responses.values],
        }
        match score:
            case NoScore(reason=reason):
                return _says({**about, "prorated": False}, reason=reason)
            case Score(value=value, band=band, is_prorated=is_prorated):
                return _says(
                    {**about, "prorated": is_prorated},
                    value=value,
                    label=None if band is None else band.label,
                    code=None if band is None else band.code,
                )

    def _of_flag(self, flag: Flag, responses: Responses) -> Row:
        about: Row = {"items": list(flag.items), "at_least": flag.at_least, "raised_by": []}
        match self._scorer.flag(flag, responses):
            case Raised(by):
                return _says({**about, "raised_by": list(by)}, value=1, label=flag.label, code=flag.code)
            case NotRaised():
                return _says(about, value=0)
            case Unclear(reason):
                return _says(about, reason=reason)

    def _row(self, event: JSONObject, scale_id: str, kind: str, says: Row) -> Row:
        key = idem_key.derived(str(event.get("idem_key")), scale_id)
        return {
            "idem_key": key,
            "observation_id": id_of(key),
            "measurement_event_id": event.get("measurement_event_id"),
            "measure_id": self._measure.measure_id,
            "measure_version": self._measure.version,
            "subject_id": event.get("subject_id"),
            "scale_id": scale_id,
            "kind": kind,
            **says,
            "timestamp": event.get("timestamp"),
            "processed_at": self._processed_at,
        }

    def _responses(self, payload: object) -> Responses:
        answers, missing = _mapping(payload, "answers"), _mapping(payload, "missing")
        values: dict[str, int] = {}
        reasons: dict[str, Reason] = {}
        for item, known in self._answers.items():
            if item in answers:
                value = answers[item]
                if isinstance(value, bool) or not isinstance(value, int) or value not in known:
                    _refuse(("answers", item), "enum")
                values[item] = value
            elif item in missing:
                try:
                    reasons[item] = Reason(missing[item])
                except ValueError:
                    _refuse(("missing", item), "enum")
        if len(values) < len(answers):
            # Of an item that the measure does not have; its name may be anything.
            _refuse(("answers",), "additionalProperties")
        return Responses(values, reasons)


def _says(
    payload: Row,
    *,
    value: int | None = None,
    label: str | None = None,
    code: str | None = None,
    reason: Reason | None = None,
) -> Row:
    return {
        "value": value,
        "label": label,
        "severity_code": code,
        "reason": None if reason is None else reason.value,
        "payload": payload,
    }


def _mapping(payload: object, name: str) -> Mapping[str, Any]:
    value = payload.get(name) if isinstance(payload, Mapping) else None
    if not isinstance(value, Mapping):
        _refuse((name,), "type")
    return value


def _refuse(path: Path, rule: str) -> NoReturn:
    raise Misfit(("payload", *path), rule)
