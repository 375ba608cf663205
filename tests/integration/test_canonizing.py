"""Raw objects become canonical ones: the shipped jobs, over SQLite."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable import CallableRegistry
from lorchestra.registry import JobRegistry
from lorchestra.result import ExecutionResult
from lorchestra.schemas import JobDef
from lorchestra.storacle import RpcClient
from tests.examples import ROOT, mail, response
from tests.jobs import Lab, build, job, keys, outcomes, submit

GMAIL = ("validate_gmail_source", "canonize_gmail_jmap")
FORMS = ("validate_google_forms_source", "canonize_google_forms_responses")


class Clinic:
    """Raw rows in a data plane, and the shipped jobs over them."""

    def __init__(self, content: Path) -> None:
        self.lab = Lab(callables=CallableRegistry(entry_points=lambda: ()))
        self.content = content
        self._jobs = JobRegistry(ROOT / "jobs" / "definitions" / "canonize")

    def load(self, *rows: Mapping[str, Any]) -> None:
        plan = build("plan", "-", params={"items": list(rows), "dataset": "raw", "table": "raw_objects"})
        assert self.lab.run(job(plan, submit("write", "plan"), job_id="load")).status == "completed"

    def run(self, job_id: str, *, client: RpcClient | None = None, **changes: Any) -> ExecutionResult:
        """Run a shipped job; `changes` are those of its first step, with `params` among them."""
        definition = self._jobs.load(job_id)
        if changes:
            written = definition.model_dump(mode="json", by_alias=True)
            written["steps"][0]["params"].update(changes.pop("params", {}))
            written["steps"][0].update(changes)
            definition = JobDef.model_validate(written)
        executor = self.lab.executor(content=self.content, client=client or self.lab.client())
        return self.lab.run(definition, executor=executor)

    def taken_up(self, job_id: str, **changes: Any) -> int:
        result = self.run(job_id, **changes)
        assert result.status in ("completed", "partial"), result.to_dict()
        counts = next(outcome.counts for step, outcome in outcomes(result).items() if step in ("validate", "canonize"))
        return int(counts.get("marker", 0))

    def rows(self, dataset: str, table: str) -> list[dict[str, Any]]:
        return self.lab.service.rows(dataset, table)

    @property
    def canonical(self) -> list[dict[str, Any]]:
        return self.rows("canonical", "canonical_objects")

    @property
    def verdicts(self) -> dict[str, str | None]:
        return {row["external_id"]: row["validation_status"] for row in self.rows("raw", "raw_objects")}

    @property
    def quarantine(self) -> list[tuple[str, ...]]:
        rows = self.rows("events", "quarantine")
        return [tuple(row[name] for name in ("job_id", "idem_key", "schema", "pointer", "rule")) for row in rows]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [row["payload"] for row in self.rows("events", "event_log") if row["event_type"] == kind]


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """With content of its own, which a test may change."""
    for folder in ("schemas", "transforms"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return Clinic(tmp_path)


def test_valid_raw_objects_become_canonical_ones(clinic: Clinic) -> None:
    clinic.load(mail(1), mail(2), response(1))
    assert [clinic.taken_up(one) for one in (*GMAIL, *FORMS)] == [2, 2, 1, 1]
    first, second, third = clinic.canonical
    assert first["idem_key"] == "gmail:gmail-acct1:email:m0001#email_jmap"
    assert first["canonical_schema"] == "iglu:canonical/email_jmap/jsonschema/1-0-0"
    assert first["canonical_format"] == "jmap_lite"
    assert first["transform_ref"] == "gmail_to_jmap_lite@1.0.0"
    assert first["canonicalized_at"] is not None
    assert first["payload"]["subject"] == "Letter"
    assert (second["external_id"], second["connection_name"]) == ("m0002", "gmail-acct1")
    assert third["idem_key"] == "google_forms:google-forms-intake-01:form_response:r0001#questionnaire_response"
    assert third["payload"]["questionnaire_id"] == "intake_01"
    assert set(clinic.verdicts.values()) == {"pass"}
    assert clinic.events("validate.completed")[0]["ok"] == 2
    assert {(one["transform"], one["ok"]) for one in clinic.events("canonize.completed")} == {
        ("gmail_to_jmap_lite@1.0.0", 2),
        ("google_forms_to_questionnaire_response@1.0.0", 1),
    }


def test_malformed_object_gets_a_verdict_and_is_set_aside_and_the_rest_goes_on(clinic: Clinic) -> None:
    clinic.load(mail(1), mail(2, internalDate="yesterday"), mail(3, payload=None))
    result = clinic.run("validate_gmail_source")
    assert result.status == "partial"
    assert clinic.verdicts == {"m0001": "pass", "m0002": "fail", "m0003": "fail"}
    schema = "iglu:raw/email_gmail/jsonschema/1-0-0"
    assert clinic.quarantine == [
        ("validate_gmail_source", "gmail:gmail-acct1:email:m0002", schema, "/internalDate", "pattern"),
        ("validate_gmail_source", "gmail:gmail-acct1:email:m0003", schema, "/payload", "required"),
    ]
    assert clinic.run("canonize_gmail_jmap").status == "completed"
    assert [row["external_id"] for row in clinic.canonical] == ["m0001"]
    assert "yesterday" not in json.dumps(clinic.rows("events", "event_log"))


def test_second_run_takes_up_nothing_and_a_changed_object_is_taken_up_again(clinic: Clinic) -> None:
    clinic.load(mail(1), mail(2))
    assert [clinic.taken_up(one) for one in GMAIL] == [2, 2]
    before, effects = clinic.canonical, len(clinic.lab.service.ops())
    assert [clinic.taken_up(one) for one in GMAIL] == [0, 0]
    assert (clinic.canonical, len(clinic.lab.service.ops())) == (before, effects)
    clinic.load(mail(1, labelIds=["STARRED"]), mail(2))
    assert clinic.verdicts == {"m0001": None, "m0002": "pass"}
    assert [clinic.taken_up(one) for one in GMAIL] == [1, 1]
    assert [row["payload"]["keywords"] for row in clinic.canonical] == [
        {"$seen": True, "$flagged": True},
        {"$seen": True},
    ]


def test_object_that_is_mended_leaves_the_quarantine(clinic: Clinic) -> None:
    clinic.load(mail(1, internalDate="yesterday"))
    clinic.run("validate_gmail_source")
    assert len(clinic.quarantine) == 1
    clinic.load(mail(1))
    assert [clinic.taken_up(one) for one in GMAIL] == [1, 1]
    assert clinic.quarantine == []
    assert keys(clinic.canonical) == ["gmail:gmail-acct1:email:m0001#email_jmap"]


def test_another_version_of_a_transform_or_schema_takes_everything_up_again(clinic: Clinic) -> None:
    clinic.load(mail(1), mail(2))
    assert [clinic.taken_up(one) for one in GMAIL] == [2, 2]
    schema = clinic.content / "schemas/iglu/raw/email_gmail/jsonschema/1-0-0"
    schema.write_text(schema.read_text().replace("Milliseconds since 1970", "Milliseconds"))
    assert [clinic.taken_up(one) for one in GMAIL] == [2, 2]
    assert [clinic.taken_up(one) for one in GMAIL] == [0, 0]
    folder = clinic.content / "transforms/gmail_to_jmap_lite"
    shutil.copytree(folder / "1.0.0", folder / "1.1.0")
    metadata = folder / "1.1.0/metadata.json"
    metadata.write_text(metadata.read_text().replace('"1.0.0"', '"1.1.0"'))
    assert clinic.taken_up("canonize_gmail_jmap", params={"transform": "gmail_to_jmap_lite@1.1.0"}) == 2
    assert {row["transform_ref"] for row in clinic.canonical} == {"gmail_to_jmap_lite@1.1.0"}


def test_result_that_its_schema_does_not_allow_is_not_written(clinic: Clinic) -> None:
    clinic.load(mail(1, threadId="t-1"), mail(2))
    schema = clinic.content / "schemas/iglu/canonical/email_jmap/jsonschema/1-0-0"
    document = json.loads(schema.read_text())
    document["properties"]["threadId"] = {"type": "string", "pattern": "^m"}
    schema.write_text(json.dumps(document))
    clinic.run("validate_gmail_source")
    assert clinic.run("canonize_gmail_jmap").status == "partial"
    assert [row["external_id"] for row in clinic.canonical] == ["m0002"]
    [[job_id, key, schema_out, place, rule]] = clinic.quarantine
    assert (job_id, key) == ("canonize_gmail_jmap", "gmail:gmail-acct1:email:m0001")
    assert (schema_out, place, rule) == ("iglu:canonical/email_jmap/jsonschema/1-0-0", "/threadId", "pattern")
    assert clinic.events("canonize.completed")[0]["quarantined"] == 1


def test_changed_transform_under_its_old_version_is_refused(clinic: Clinic) -> None:
    clinic.load(mail(1))
    clinic.run("validate_gmail_source")
    source = clinic.content / "transforms/gmail_to_jmap_lite/1.0.0/transform.jsonata"
    source.write_text(source.read_text() + "\n")
    result = clinic.run("canonize_gmail_jmap")
    assert result.status == "failed"
    assert "has not the checksum that its metadata.json says" in str(result.to_dict())
    assert clinic.canonical == []


def test_two_workers_give_what_one_gives(clinic: Clinic) -> None:
    clinic.load(*(mail(number, sizeEstimate=number) for number in range(250)), mail(900, internalDate="x"))
    clinic.run("validate_gmail_source")
    one = {"params": {"read": {**_read(), "unprocessed": "one"}}}
    two = {"params": {"read": {**_read(), "unprocessed": "two"}}, "workers": 2}
    assert clinic.taken_up("canonize_gmail_jmap", **one) == 251
    first = [(row["idem_key"], row["payload"]) for row in clinic.canonical]
    assert clinic.taken_up("canonize_gmail_jmap", **two) == 251
    assert [(row["idem_key"], row["payload"]) for row in clinic.canonical] == first
    assert next(op[2]["unchanged"] for op in clinic.lab.service.ops()[-4:] if "unchanged" in op[2]) == 250


def _read() -> dict[str, Any]:
    return {"dataset": "raw", "table": "raw_objects", "where": {"source_system": "gmail"}}


def test_verdict_on_what_an_object_said_before_does_not_last(clinic: Clinic) -> None:
    """An ingest that writes between the reading of a raw object and its verdict."""
    clinic.load(mail(1))
    changes = iter([mail(1, internalDate="yesterday")])

    def ingest_in_between(message: Any) -> None:
        if "validation_status" in str(message) and "execute_plan" in str(message):
            for row in changes:
                clinic.load(row)

    assert clinic.taken_up("validate_gmail_source", client=clinic.lab.client(ingest_in_between)) == 1
    assert clinic.verdicts == {"m0001": "pass"}
    # The canonizer looks for itself, so nothing comes of a verdict that is out of date.
    assert clinic.run("canonize_gmail_jmap").status == "partial"
    assert clinic.canonical == []
    assert clinic.taken_up("validate_gmail_source") == 1
    assert clinic.verdicts == {"m0001": "fail"}
