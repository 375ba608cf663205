"""What lies in the forms: who answered which form when, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeAlias

from lorchestra.demo.clinic.calendar import HISTORY, moment, random_of
from lorchestra.demo.clinic.people import Person
from lorchestra.demo.clinic.questions import Question, questions_of

Response: TypeAlias = dict[str, Any]

_FOLLOWUP_DAYS = 21
_NO_ANSWERS = ("rather not say", "kind of", "?")


def of_client(number: int, person: Person, *, joined: int, until: int) -> Iterator[tuple[str, Response]]:
    """The form and the response, for all that a client sent from the day they joined until a day."""
    random = random_of("client", number)
    visits = [("intake_01", joined)]
    if random.random() < 0.7:
        visits.append(("intake_02", joined + 1))
    if random.random() < 0.3:
        visits.append(("ipip120", joined + 3))
    # As long as the clinic is shown at all: what comes later takes nothing from the chance of what came before.
    visits += [("followup", day) for day in range(joined + _FOLLOWUP_DAYS, until + 1, _FOLLOWUP_DAYS)]
    for form, day in visits:
        if day <= until:
            yield from _sent(form, f"{number}/{form}/{day}", person, day)


def joined_on(number: int, established: int) -> int:
    """The day a client came: those established are from before day 1; from then on, one comes each day."""
    if number < established:
        return random_of("joined", number).randrange(1 - HISTORY, 1)
    return number - established + 2


def edited(form: str, response: Response, person: Person, day: int) -> Response:
    """The same response, answered anew on a later day."""
    random = random_of("edited", response["responseId"], day)
    at = moment(day, random)
    answers = _answers(questions_of(form), min(1.0, person.burden + 0.3), random)
    return {**response, "lastSubmittedTime": _time(at), "answers": answers}


def is_whole(response: Response) -> bool:
    return "createTime" in response and isinstance(response.get("answers"), dict)


def _sent(form: str, name: str, person: Person, day: int) -> Iterator[tuple[str, Response]]:
    random = random_of("response", name)
    at = moment(day, random)
    answers = _answers(questions_of(form), person.burden, random)
    response = _response(name, at, person, answers)
    chance = random.random()
    if chance < 0.01:
        response = {**response, "answers": "none"}
    elif chance < 0.02:
        del response["createTime"]
    elif chance < 0.03:
        del response["respondentEmail"]
    yield form, response
    if chance > 0.97:
        # Some press the button twice.
        yield form, _response(f"{name}/again", at + timedelta(seconds=20), person, answers)


def _response(name: str, at: datetime, person: Person, answers: dict[str, Any]) -> Response:
    return {
        "responseId": hashlib.sha256(name.encode()).hexdigest()[:24],
        "createTime": _time(at),
        "lastSubmittedTime": _time(at),
        "respondentEmail": person.email,
        "answers": answers,
    }


def _answers(questions: Sequence[Question], burden: float, random: Random) -> dict[str, Any]:
    skipped = {question.id for question in random.sample(questions, random.choices((0, 1, 5), (88, 8, 4))[0])}
    unknown = random.choice(questions).id if random.random() < 0.03 else None
    return {
        question.id: _answer(question.id, _chosen(question, burden, random, unknown=question.id == unknown))
        for question in questions
        if question.id not in skipped
    }


def _chosen(question: Question, burden: float, random: Random, *, unknown: bool) -> str:
    if unknown:
        return random.choice(_NO_ANSWERS)
    most = len(question.answers) - 1
    given = question.answers[min(most, max(0, round(random.gauss(burden * most, 0.7))))]
    return random.choices((given, given.upper(), f" {given} "), (94, 3, 3))[0]


def _answer(question_id: str, given: str) -> dict[str, Any]:
    return {"questionId": question_id, "textAnswers": {"answers": [{"value": given}]}}


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
