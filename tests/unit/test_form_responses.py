"""What is needed of a questionnaire response, and what is no such thing."""

from __future__ import annotations

from typing import Any

import pytest

from lorchestra.callable import default_registry
from lorchestra.callable.direct import direct_context
from lorchestra.callable.finalform.response import Misfit, Response
from lorchestra.items import Rejected
from tests.forms import as_json, mood, response


def payload(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = response(1, {"phq9": [1, [2, "x"]]}, **changes)["payload"]
    return found


def test_texts_are_found_by_question() -> None:
    answers = [
        {"question_id": "q1", "values": ["a", 2]},
        {"question_id": "q2", "values": []},
        {"question_id": "q1", "values": ["b"]},
    ]
    parsed = Response.parse(payload(answers=answers))
    assert parsed.given == {"q1": ("a", "2", "b"), "q2": ()}
    assert parsed.respondent == "p1@example.org"


@pytest.mark.parametrize(
    ("created_at", "expected"),
    [
        ("2026-11-20T09:30:00Z", False),
        ("2026-11-20T10:30:00+01:00", False),
        (None, False),
        ("2026-11-19T09:30:00Z", True),
    ],
)
def test_response_that_was_submitted_again_is_edited(created_at: str | None, expected: bool) -> None:
    assert Response.parse(payload(created_at=created_at)).is_edited is expected


@pytest.mark.parametrize("changes", [{"respondent": None}, {"respondent": {}}, {"respondent": {"email": None}}])
def test_respondent_may_be_unknown(changes: dict[str, Any]) -> None:
    assert Response.parse(payload(**changes)).respondent is None


@pytest.mark.parametrize(
    ("changes", "pointer", "rule"),
    [
        ({"answers": None}, "/answers", "type"),
        ({"answers": ["q"]}, "/answers/0", "type"),
        ({"answers": [{"values": []}]}, "/answers/0/question_id", "required"),
        ({"answers": [{"question_id": "q"}]}, "/answers/0/values", "required"),
        ({"answers": [{"question_id": "q", "values": "x"}]}, "/answers/0/values", "type"),
        ({"answers": [{"question_id": "q", "values": ["x", None]}]}, "/answers/0/values/1", "type"),
        ({"answers": [{"question_id": "q", "values": [True]}]}, "/answers/0/values/0", "type"),
        ({"submitted_at": "yesterday"}, "/submitted_at", "format"),
        ({"submitted_at": "2026-11-20T09:30:00"}, "/submitted_at", "format"),
        ({"submitted_at": "0001-01-01T00:00:00+01:00"}, "/submitted_at", "format"),
        ({"submitted_at": 7}, "/submitted_at", "type"),
        ({"created_at": 7}, "/created_at", "type"),
        ({"questionnaire_response_id": ""}, "/questionnaire_response_id", "minLength"),
        ({"respondent": "p1"}, "/respondent", "type"),
        ({"respondent": {"email": 1}}, "/respondent/email", "type"),
    ],
)
def test_what_is_no_response_is_told_by_place_and_rule(changes: dict[str, Any], pointer: str, rule: str) -> None:
    with pytest.raises(Misfit) as refused:
        Response.parse(payload(**changes))
    assert (refused.value.pointer, refused.value.rule) == (pointer, rule)


@pytest.mark.parametrize("value", [None, [], "text"])
def test_payload_is_an_object(value: object) -> None:
    with pytest.raises(Misfit) as refused:
        Response.parse(value)
    assert (refused.value.pointer, refused.value.rule) == ("", "type")


# Who it is about, and what goes along


def formed(subject: dict[str, Any], *items: object) -> list[Any]:
    """What `measurement_projector` yields for these items, with a binding of the small measure."""
    questions = {"a": "qa", "b": "qb", "c": "qc"}
    binding = {"binding_id": "desk", "version": "1-0-0", "title": "Desk", "form_id": "desk", **subject}
    binding["measures"] = [{"measure": "mood@1-0-0", "items": questions}]
    files = {"binding desk@1-0-0": as_json(binding), "measure mood@1-0-0": as_json(mood())}
    context = direct_context(items=items, resources=files)
    params = {"binding": "desk@1-0-0", "measures": ["mood@1-0-0"]}
    return list(default_registry().dispatch("measurement_projector", params, context).items or ())


@pytest.mark.parametrize(
    ("subject", "values", "expected"),
    [
        ({}, [], "p1@example.org"),
        ({"subject_question": "who"}, [" Ann@Example.org"], "ann@example.org"),
        ({"subject_question": "who"}, [], None),
        ({"subject_question": "who"}, [" "], None),
        ({"subject_question": "who"}, ["a@example.org", "b@example.org"], None),
    ],
)
def test_subject_is_the_respondent_or_whom_the_form_asks_for(
    subject: dict[str, Any], values: list[str], expected: str | None
) -> None:
    answers = [{"question_id": "qa", "values": ["2"]}, {"question_id": "who", "values": values}]
    [event] = formed(subject, response(1, answers=answers))
    assert event.data["subject_id"] == expected


def test_what_an_earlier_step_set_aside_goes_along() -> None:
    rejected = Rejected(idem_key="x", schema="s", pointer="/p", rule="type")
    assert formed({}, rejected) == [rejected]
