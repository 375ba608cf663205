"""The golden examples of the shipped transforms, and raw rows made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorchestra import idem_key

ROOT = Path(__file__).resolve().parents[1]
TRANSFORMS = ROOT / "transforms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    transform: Path
    name: str
    row: dict[str, Any]
    payload: Any
    expected: Any

    def __str__(self) -> str:
        return f"{self.transform.parent.name}-{self.name}"

    @property
    def source(self) -> str:
        return (self.transform / "transform.jsonata").read_text()

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.transform / "metadata.json").read_text())
        return found


def all_examples() -> list[Example]:
    return list(_examples())


def _examples() -> Iterator[Example]:
    for given in sorted(TRANSFORMS.glob("*/*/examples/*.in.json")):
        asked = json.loads(given.read_text())
        name = given.name.removesuffix(".in.json")
        expected = json.loads(given.with_name(f"{name}.out.json").read_text())
        yield Example(transform=given.parents[1], name=name, expected=expected, **asked)


def schema(address: str) -> bytes:
    return (ROOT / "schemas" / address.replace(":", "/", 1)).read_bytes()


def mail(number: int, **changes: Any) -> dict[str, Any]:
    """A raw row with a message of Gmail."""
    given = json.loads((TRANSFORMS / "gmail_to_jmap_lite/1.0.0/examples/mixed_with_attachment.in.json").read_text())
    external_id = f"m{number:04d}"
    payload = {**given["payload"], "id": external_id, "threadId": external_id, **changes}
    about = ("gmail", "gmail-acct1", "email", external_id)
    return {
        "idem_key": idem_key.of_object(*about),
        **dict(zip(("source_system", "connection_name", "object_type", "external_id"), about, strict=True)),
        "payload": {name: value for name, value in payload.items() if value is not None},
    }


def response(number: int, **changes: Any) -> dict[str, Any]:
    """A raw row with a response to a form."""
    folder = TRANSFORMS / "google_forms_to_questionnaire_response/1.0.0/examples"
    given = json.loads((folder / "answers_in_order.in.json").read_text())
    external_id = f"r{number:04d}"
    about = ("google_forms", "google-forms-intake-01", "form_response", external_id)
    return {
        "idem_key": idem_key.of_object(*about),
        **dict(zip(("source_system", "connection_name", "object_type", "external_id"), about, strict=True)),
        "payload": {**given["payload"], "responseId": external_id, **changes},
    }
