"""A canonical questionnaire response: what is needed of it, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lorchestra.errors import Path, pointer


class Misfit(Exception):
    """What is no questionnaire response: where, and by which rule of JSON Schema."""

    def __init__(self, path: Path, rule: str) -> None:
        super().__init__(f"{pointer(path)}: {rule}")
        self.pointer = pointer(path)
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    response_id: str
    submitted_at: str
    is_edited: bool
    """Whether it was submitted again after the first time."""
    respondent: str | None
    """The respondent's e-mail address."""
    given: Mapping[str, tuple[str, ...]]
    """By question, the texts that were given."""

    @classmethod
    def parse(cls, payload: object) -> Response:
        """Raises Misfit for the first thing that is not as it should be."""
        fields = _object(payload, ())
        submitted_at = _text(fields, "submitted_at", ())
        created_at = submitted_at if fields.get("created_at") is None else _text(fields, "created_at", ())
        respondent = fields.get("respondent")
        email = None if respondent is None else _object(respondent, ("respondent",)).get("email")
        if not (email is None or isinstance(email, str)):
            raise Misfit(("respondent", "email"), "type")
        return cls(
            response_id=_text(fields, "questionnaire_response_id", ()),
            submitted_at=submitted_at,
            is_edited=_time(created_at, ("created_at",)) != _time(submitted_at, ("submitted_at",)),
            respondent=email,
            given=_given(fields),
        )


def _given(fields: Mapping[str, object]) -> Mapping[str, tuple[str, ...]]:
    given: dict[str, tuple[str, ...]] = {}
    for index, answer in enumerate(_array(fields, "answers", ())):
        path: Path = ("answers", index)
        of_answer = _object(answer, path)
        question = _text(of_answer, "question_id", path)
        values = _array(of_answer, "values", path)
        for number, value in enumerate(values):
            if not isinstance(value, (str, int)) or isinstance(value, bool):
                raise Misfit((*path, "values", number), "type")
        # A question that is there twice was answered twice.
        given[question] = (*given.get(question, ()), *map(str, values))
    return given


def _object(value: object, path: Path) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Misfit(path, "type")
    return value


def _array(fields: Mapping[str, object], name: str, path: Path) -> tuple[object, ...]:
    if name not in fields:
        raise Misfit((*path, name), "required")
    value = fields[name]
    if not isinstance(value, (list, tuple)):
        raise Misfit((*path, name), "type")
    return tuple(value)


def _text(fields: Mapping[str, object], name: str, path: Path) -> str:
    if name not in fields:
        raise Misfit((*path, name), "required")
    value = fields[name]
    if not isinstance(value, str):
        raise Misfit((*path, name), "type")
    if not value:
        raise Misfit((*path, name), "minLength")
    return value


def _time(text: str, path: Path) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        # At the ends of the calendar, a time may have no UTC.
        pass
    raise Misfit(path, "format")
