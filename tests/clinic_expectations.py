"""What a day of the demo clinic must come to, worked out from what the clinic holds, with none of lorchestra's code.

Of each table, the rows by their key, and of each row what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import getaddresses
from typing import Any, TypeAlias

from lorchestra.demo.clinic import ACCOUNTS, FORMS, Holdings

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = dict[str, Row]

MAILBOXES = {account: f"gmail-acct{number}" for number, account in enumerate(ACCOUNTS, start=1)}
FORM_NAMES = {form: f"google-forms-{form.replace('_', '-')}" for form in FORMS}

_OFTEN = ("not at all", "several days", "more than half the days", "nearly every day")
_DIFFICULT = ("not difficult at all", "somewhat difficult", "very difficult", "extremely difficult")
_STRESS = ("never", "almost never", "sometimes", "fairly often", "very often")
_FLAG = "thoughts of death or self-harm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Its first so many items are summed up; `upto` has the last score of each label."""

    name: str
    items: Sequence[int]
    upto: Mapping[str, int]
    may_miss: int = 0
    reversed: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    name: str
    answers: Sequence[Sequence[str]]
    """Of each item, from 0 up."""
    scales: Sequence[Scale]
    flagged_item: int | None = None


_HARD = dict(zip(_DIFFICULT, range(4), strict=True))
PHQ9 = Measure(
    name="phq9",
    answers=(_OFTEN,) * 9 + (_DIFFICULT,),
    scales=(
        Scale(
            name="phq9_total",
            items=range(1, 10),
            may_miss=2,
            upto={"minimal": 4, "mild": 9, "moderate": 14, "moderately severe": 19, "severe": 27},
        ),
        Scale(name="phq9_severity", items=[10], upto=_HARD),
    ),
    flagged_item=9,
)
GAD7 = Measure(
    name="gad7",
    answers=(_OFTEN,) * 7 + (_DIFFICULT,),
    scales=(
        Scale(
            name="gad7_total",
            items=range(1, 8),
            may_miss=1,
            upto={"minimal": 4, "mild": 9, "moderate": 14, "severe": 21},
        ),
        Scale(name="gad7_severity", items=[8], upto=_HARD),
    ),
)
PSS10 = Measure(
    name="pss_10",
    answers=(_STRESS,) * 10,
    scales=(
        Scale(
            name="pss_10_total",
            items=range(1, 11),
            may_miss=1,
            reversed=(4, 5, 7, 8),
            upto={"low": 13, "moderate": 26, "high": 40},
        ),
    ),
)
ASKED = {"intake_01": (PHQ9, GAD7, PSS10), "followup": (PHQ9, GAD7), "intake_02": (), "ipip120": ()}


@dataclass(frozen=True, slots=True)
class Expected:
    raw: Rows = field(default_factory=dict)
    canonical: Rows = field(default_factory=dict)
    quarantine: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    """By job and key; the places and rules that a record may be refused for, of which one is told."""
    events: Rows = field(default_factory=dict)
    observations: Rows = field(default_factory=dict)
    responses: Rows = field(default_factory=dict)
    clients: Rows = field(default_factory=dict)

    def pages(self) -> Rows:
        """Of each client, what is to be read on the page: of most moments, the day."""
        shown_whole = ("last_response_at",)
        return {
            email: {
                name: value[:10] if name.endswith("_at") and value and name not in shown_whole else value
                for name, value in client.items()
            }
            for email, client in self.clients.items()
        }


def of(held: Holdings) -> Expected:
    expected = Expected()
    for account, mails in held.mailboxes.items():
        for mail_id, mail in mails.items():
            key = f"gmail:{MAILBOXES[account]}:email:{mail_id}"
            _take_in(expected, key, mail, _faults_of_mail(mail), "validate_gmail_source", "email_jmap")
    for form, answered in held.forms.items():
        for response_id, response in answered.items():
            key = f"google_forms:{FORM_NAMES[form]}:form_response:{response_id}"
            faults = _faults_of_response(response)
            _take_in(expected, key, response, faults, "validate_google_forms_source", "questionnaire_response")
            if not faults:
                _form(expected, f"{key}#questionnaire_response", form, response)
    expected.clients.update(_clients(expected))
    return expected


def moved(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, int]:
    """As the demo tells it."""
    return {
        "total": len(after),
        "new": len(after.keys() - before.keys()),
        "changed": sum(before[key] != after[key] for key in before.keys() & after.keys()),
        "gone": len(before.keys() - after.keys()),
    }


def moment(text: str | datetime) -> str:
    """As copies and pages have it."""
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# Malformed records


def _take_in(expected: Expected, key: str, payload: Row, faults: set[tuple[str, str]], job: str, kind: str) -> None:
    expected.raw[key] = {"payload": payload, "validation_status": "fail" if faults else "pass"}
    if faults:
        expected.quarantine[f"{job} {key}"] = frozenset(faults)
    else:
        expected.canonical[f"{key}#{kind}"] = payload


def _faults_of_mail(mail: Row) -> set[tuple[str, str]]:
    faults = set()
    if "payload" not in mail:
        faults.add(("/payload", "required"))
    elif not isinstance(mail["payload"].get("headers", []), list):
        faults |= {("/payload/headers", "type"), ("/payload/mimeType", "required")}
    if not isinstance(mail["labelIds"], list):
        faults.add(("/labelIds", "type"))
    return faults


def _faults_of_response(response: Row) -> set[tuple[str, str]]:
    faults = set()
    if "createTime" not in response:
        faults.add(("/createTime", "required"))
    if not isinstance(response.get("answers", {}), dict):
        faults.add(("/answers", "type"))
    return faults


# Scores


def _form(expected: Expected, key: str, form: str, response: Row) -> None:
    email = response.get("respondentEmail", "").strip().lower() or None
    given = {question: answer["textAnswers"]["answers"][0]["value"] for question, answer in response["answers"].items()}
    about = {"subject_id": email, "timestamp": moment(response["lastSubmittedTime"])}
    measures = 0
    for measure in ASKED[form]:
        asked = {number: _question(form, measure, number) for number in range(1, len(measure.answers) + 1)}
        if not given.keys() & set(asked.values()) and response["createTime"] == response["lastSubmittedTime"]:
            continue
        measures += 1
        event = f"{key}#me%3A{measure.name}"
        expected.events[event] = {
            "measure_id": measure.name,
            "form_id": form,
            "form_submission_id": response["responseId"],
            "canonical_object_id": key,
            **about,
        }
        for scale_id, row in _observations(measure, {number: given.get(asked[number]) for number in asked}):
            expected.observations[f"{event}#{scale_id}"] = {"scale_id": scale_id, **row, **about}
    expected.responses[key] = {
        "idem_key": key,
        "response_id": response["responseId"],
        "form": FORM_NAMES[form],
        "questionnaire_id": form,
        "email": email,
        "created_at": moment(response["createTime"]),
        "submitted_at": moment(response["lastSubmittedTime"]),
        "answers": len(given),
        "measures": measures,
    }


def _question(form: str, measure: Measure, number: int) -> str:
    return hashlib.sha256(f"{form}:{measure.name}:{number}".encode()).hexdigest()[:8]


def _observations(measure: Measure, given: Mapping[int, str | None]) -> Iterator[tuple[str, Row]]:
    values = {number: _value(measure.answers[number - 1], text) for number, text in given.items()}
    for number, value in values.items():
        answers = measure.answers[number - 1]
        said = _said("item", value, answers[value]) if isinstance(value, int) else _unsaid("item", value)
        yield f"{measure.name}_item_{number}", said
    for scale in measure.scales:
        score = _score(measure, scale, [(number, values[number]) for number in scale.items])
        if isinstance(score, str):
            yield scale.name, _unsaid("scale", score)
        else:
            label = next(label for label, last in scale.upto.items() if score <= last)
            code = label.removesuffix(" at all").replace(" ", "_")
            yield scale.name, _said("scale", score, label, code)
    if measure.flagged_item is not None:
        value = values[measure.flagged_item]
        if isinstance(value, str):
            yield f"{measure.name}_self_harm", _unsaid("flag", value)
        else:
            raised = _said("flag", 1, _FLAG, "self_harm") if value else _said("flag", 0)
            yield f"{measure.name}_self_harm", raised


def _value(answers: Sequence[str], text: str | None) -> int | str:
    """The value of an answer, or why there is none."""
    if text is None:
        return "not_answered"
    plain = text.strip().lower()
    return answers.index(plain) if plain in answers else "unknown_answer"


def _score(measure: Measure, scale: Scale, values: Sequence[tuple[int, int | str]]) -> int | str:
    if any(value == "unknown_answer" for _, value in values):
        return "unknown_answer"
    known = [
        len(measure.answers[number - 1]) - 1 - value if number in scale.reversed else value
        for number, value in values
        if isinstance(value, int)
    ]
    if len(values) - len(known) > scale.may_miss:
        return "not_answered" if len(values) == 1 else "too_many_missing"
    # The mean of the others stands for what is missing; a half is rounded up.
    return int(sum(known) * len(values) / len(known) + 0.5)


def _said(kind: str, value: int, label: str | None = None, code: str | None = None) -> Row:
    return {"kind": kind, "value": value, "label": label, "severity_code": code, "reason": None}


def _unsaid(kind: str, reason: str) -> Row:
    return {"kind": kind, "value": None, "label": None, "severity_code": None, "reason": reason}


# Clients


def _clients(expected: Expected) -> Rows:
    by_email: dict[str, list[Row]] = {}
    for response in expected.responses.values():
        if response["email"]:
            by_email.setdefault(response["email"], []).append(response)
    mails = _mails(expected)
    clients = {}
    for email, responses in by_email.items():
        times = [response["submitted_at"] for response in responses]
        exchanged = mails.get(email, [])
        clients[email] = {
            "email": email,
            "name": max(((at, name) for _, at, name in exchanged if name), default=(None, None))[1],
            "responses": len(responses),
            "first_response_at": min(times),
            "last_response_at": max(times),
            **_last_scores(expected, email),
            **_flags(expected, email),
            "mails": len({mail for mail, _, _ in exchanged}),
            "last_mail_at": max((at for _, at, _ in exchanged), default=None),
        }
    return clients


def _observed(expected: Expected, email: str, scale_id: str) -> list[Row]:
    """What has a value, the last first."""
    found = [
        (row["timestamp"], key, row)
        for key, row in expected.observations.items()
        if row["subject_id"] == email and row["scale_id"] == scale_id and row["value"] is not None
    ]
    return [row for _, _, row in sorted(found, key=lambda one: one[:2], reverse=True)]


def _last_scores(expected: Expected, email: str) -> Row:
    last = {
        measure.name: next(iter(_observed(expected, email, measure.scales[0].name)), {})
        for measure in (PHQ9, GAD7, PSS10)
    }
    return {
        f"{name}_{column}": row.get(said)
        for name, row in last.items()
        for column, said in (("score", "value"), ("label", "label"), ("at", "timestamp"))
    }


def _flags(expected: Expected, email: str) -> Row:
    observed = _observed(expected, email, "phq9_self_harm")
    raised = [row for row in observed if row["value"]]
    is_open = bool(observed and observed[0]["value"])
    return {
        "flags": len(raised),
        "last_flag_at": raised[0]["timestamp"] if raised else None,
        "open_flags": int(is_open),
        "open_flag_label": _FLAG if is_open else None,
    }


def _mails(expected: Expected) -> dict[str, list[tuple[str, str, str]]]:
    """By who sent or received them: each mail's own id, when it came in, and what its sender calls themselves."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for key, mail in expected.canonical.items():
        if not key.endswith("#email_jmap"):
            continue
        headers = {header["name"]: header["value"] for header in mail["payload"]["headers"]}
        mail_id = headers.get("Message-ID", key)
        at = moment(datetime.fromtimestamp(int(mail["internalDate"]) / 1000, UTC))
        for header in ("From", "To", "Cc"):
            for name, email in getaddresses([headers.get(header, "")]):
                called = str(make_header(decode_header(name))) if header == "From" else ""
                found.setdefault(email.lower(), []).append((mail_id, at, called))
    return found
