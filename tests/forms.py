"""Measures and the forms they are asked on, for tests: the shipped ones, small ones, and responses to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lorchestra.callable.finalform import files
from lorchestra.callable.finalform.binding import Binding
from lorchestra.callable.finalform.measure import Measure
from lorchestra.callable.finalform.params import Ref

ROOT = Path(__file__).parents[1]
INSTRUMENTS = ROOT / "measures" / "instruments"
BINDINGS = ROOT / "measures" / "bindings"
SCHEMA = "iglu:canonical/questionnaire_response/jsonschema/1-0-0"
SUBMITTED = "2026-11-20T09:30:00Z"


@cache
def shipped(measure_id: str, version: str = "1-0-0") -> Measure:
    path = INSTRUMENTS / measure_id / f"{version}.json"
    return files.read_measure(path.read_bytes(), file=str(path), ref=Ref(measure_id, version))


@cache
def shipped_binding(binding_id: str, version: str = "1-0-0") -> Binding:
    path = BINDINGS / binding_id / f"{version}.json"
    return files.read_binding(path.read_bytes(), {}, file=str(path), ref=Ref(binding_id, version))


def mood(**changes: Any) -> dict[str, Any]:
    """The file of a small measure: three items of 0 to 2, one of them reversed, one of three may be missing."""
    return {
        "measure_id": "mood",
        "version": "1-0-0",
        "title": "Mood",
        "sources": [{"citation": "Nobody. Nothing. 2026.", "about": "all"}],
        "answers": {
            "often": [
                {"value": 0, "texts": ["never"]},
                {"value": 1, "texts": ["sometimes", "now and then"]},
                {"value": 2, "texts": ["always"]},
            ]
        },
        "items": [{"id": name, "answers": "often"} for name in ("a", "b", "c")],
        "scales": [scale(**changes.pop("scale", {}))],
        **changes,
    }


def scale(**changes: Any) -> dict[str, Any]:
    bands = [
        {"min": 0, "max": 2, "label": "low", "code": "low"},
        {"min": 3, "max": 6, "label": "high", "code": "high"},
    ]
    fields = {"id": "mood_total", "title": "Mood", "items": ["a", "b", "c"], "reversed": ["c"], "missing_at_most": 1}
    return {**fields, "bands": bands, **changes}


def read(measure: Mapping[str, Any]) -> Measure:
    return files.read_measure(as_json(measure), file="mood.json", ref=Ref("mood", "1-0-0"))


def as_json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


def response(
    number: int | str = 1, given: Mapping[str, object] | None = None, *, form: str = "intake_01", **payload: Any
) -> dict[str, Any]:
    """The canonical row of a response. `given` has for each measure the answers in the order of its items."""
    connection = f"google-forms-{form.replace('_', '-')}"
    key = f"google_forms:{connection}:form_response:{number}#questionnaire_response"
    return {
        "idem_key": key,
        "source_system": "google_forms",
        "connection_name": connection,
        "object_type": "form_response",
        "external_id": str(number),
        "canonical_schema": SCHEMA,
        "payload": {
            "questionnaire_response_id": str(number),
            "questionnaire_id": form,
            "source_system": "google_forms",
            "created_at": SUBMITTED,
            "submitted_at": SUBMITTED,
            "respondent": {"email": f"p{number}@example.org"},
            "answers": answered(form, given or {}),
            **payload,
        },
    }


def answered(form: str, given: Mapping[str, object]) -> list[dict[str, Any]]:
    found = []
    for bound in shipped_binding(form).measures:
        answers = given.get(bound.measure.partition("@")[0], ())
        assert isinstance(answers, Sequence)
        for question, answer in zip(bound.items.values(), answers, strict=False):
            if answer is not None:
                values = [str(one) for one in answer] if isinstance(answer, list) else [str(answer)]
                found.append({"question_id": question, "values": values})
    return sorted(found, key=lambda answer: str(answer["question_id"]))
