"""Measurement events: for each measure that somebody answered on a form, the answers as numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from lorchestra import idem_key
from lorchestra.callable.finalform.answers import Matcher
from lorchestra.callable.finalform.binding import Binding
from lorchestra.callable.finalform.measure import Measure
from lorchestra.callable.finalform.response import Response
from lorchestra.json_value import JSONObject

Row: TypeAlias = dict[str, Any]


class EventFormer:
    """Makes the rows of `measurement_events` that a canonical questionnaire response gives."""

    def __init__(self, binding: Binding, measures: Iterable[Measure], *, processed_at: str) -> None:
        questions = {bound.measure: bound.items for bound in binding.measures}
        self._binding = binding
        self._measures = [(measure, Matcher(measure, questions[measure.name])) for measure in measures]
        self._processed_at = processed_at

    def events(self, record: JSONObject) -> Iterator[Row]:
        """One for each measure of which anything was answered. Raises Misfit for what is no such response."""
        response = Response.parse(record.get("payload"))
        subject = self._subject(response)
        for measure, matcher in self._measures:
            # A response that was submitted again may have had answers before: their event says that they are gone.
            if matcher.is_answered(response.given) or response.is_edited:
                yield self._event(record, response, subject, measure, matcher)

    def _event(
        self, record: JSONObject, response: Response, subject: str | None, measure: Measure, matcher: Matcher
    ) -> Row:
        source = str(record.get("idem_key"))
        key = idem_key.derived(source, f"me:{measure.measure_id}")
        responses = matcher.match(response.given)
        return {
            "idem_key": key,
            "measurement_event_id": id_of(key),
            "measure_id": measure.measure_id,
            "measure_version": measure.version,
            "subject_id": subject,
            "binding_id": self._binding.binding_id,
            "binding_version": self._binding.version,
            "form_id": self._binding.form_id,
            "form_submission_id": response.response_id,
            "canonical_object_id": source,
            "timestamp": response.submitted_at,
            "processed_at": self._processed_at,
            "payload": {
                "answers": dict(responses.values),
                "missing": {item: reason.value for item, reason in responses.missing.items()},
            },
        }

    def _subject(self, response: Response) -> str | None:
        question = self._binding.subject_question
        given = response.respondent if question is None else _only(response.given, question)
        return (given or "").strip().lower() or None


def id_of(key: str) -> str:
    """The id of what has this idem_key: opaque, and short enough to be shown."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _only(given: Mapping[str, tuple[str, ...]], question: str) -> str | None:
    """What was given for a question; nothing where that is not one thing."""
    texts = given.get(question, ())
    return texts[0] if len(texts) == 1 else None
