"""Rows of a small clinic as the stages before the projections leave them: mails, responses, events and observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lorchestra import idem_key
from lorchestra.clock import SystemClock, new_run_id
from lorchestra.plan_builder import build_plan_from_items
from lorchestra.storacle import RpcMeta, StoracleClient

Row = dict[str, Any]

TABLES = {
    "canonical_objects": "canonical",
    "measurement_events": "derived",
    "observations": "derived",
}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A questionnaire of a client: scores by scale (None: it could not be told), and whether it raised a flag."""

    at: str
    scores: Mapping[str, tuple[float, str] | None] = field(default_factory=dict)
    flag: bool | None = None
    form: str = "google-forms-intake-01"


def mail(number: int, sender: tuple[str | None, str], to: Iterable[str], at: str, *, account: str = "acct1") -> Row:
    key = idem_key.derived(idem_key.of_object("gmail", f"gmail-{account}", "email", f"m{number}"), "email_jmap")
    return {
        "idem_key": key,
        "source_system": "gmail",
        "connection_name": f"gmail-{account}",
        "object_type": "email",
        "external_id": f"m{number}",
        "canonical_schema": "iglu:canonical/email_jmap/jsonschema/1-0-0",
        "canonical_format": "jmap_lite",
        "payload": {
            "id": f"m{number}",
            "messageId": [f"m{number}@mail.invalid"],
            "receivedAt": at,
            "from": [{"name": sender[0], "email": sender[1]}],
            "to": [{"name": None, "email": email} for email in to],
            "cc": None,
            "subject": "An appointment",
        },
    }


def answers(email: str | None, number: int, answered: Answered) -> Iterator[tuple[str, Row]]:
    """The rows of one response, each with its table."""
    external_id = f"r{number}"
    raw = idem_key.of_object("google_forms", answered.form, "form_response", external_id)
    key = idem_key.derived(raw, "questionnaire_response")
    yield (
        "canonical_objects",
        {
            "idem_key": key,
            "source_system": "google_forms",
            "connection_name": answered.form,
            "object_type": "form_response",
            "external_id": external_id,
            "canonical_schema": "iglu:canonical/questionnaire_response/jsonschema/1-0-0",
            "canonical_format": "questionnaire_response",
            "payload": {
                "questionnaire_response_id": external_id,
                "questionnaire_id": answered.form.removeprefix("google-forms-").replace("-", "_"),
                "source_system": "google_forms",
                "created_at": answered.at,
                "submitted_at": answered.at,
                "respondent": {"email": email},
                "answers": [{"question_id": "5f1c2ab0", "values": ["Several days"]}],
            },
        },
    )
    for measure in dict.fromkeys(scale.removesuffix("_total") for scale in answered.scores):
        event = idem_key.derived(key, f"me:{measure}")
        shared = {"measure_id": measure, "measure_version": "1-0-0", "subject_id": email, "timestamp": answered.at}
        yield (
            "measurement_events",
            {
                "idem_key": event,
                "measurement_event_id": f"{external_id}-{measure}",
                "binding_id": "intake_01",
                "binding_version": "1-0-0",
                "form_id": answered.form,
                "form_submission_id": external_id,
                "canonical_object_id": key,
                "payload": {"answers": {"1": 1}, "missing": {}},
                **shared,
            },
        )
        about: Row = {**shared, "measurement_event_id": f"{external_id}-{measure}", "payload": {}}
        score = answered.scores[f"{measure}_total"]
        value, label = score or (None, None)
        told: list[Row] = [{"scale_id": f"{measure}_total", "kind": "scale", "value": value, "label": label}]
        if measure == "phq9":
            # The question of difficulty is a scale of its own.
            told.append({"scale_id": "phq9_severity", "kind": "scale", "value": 3, "label": "extremely difficult"})
            flag = None if answered.flag is None else int(answered.flag)
            flag_label = "thoughts of death or self-harm" if answered.flag else None
            told.append({"scale_id": "phq9_self_harm", "kind": "flag", "value": flag, "label": flag_label})
        for one in told:
            idem = idem_key.derived(event, one["scale_id"])
            reason = "too_many_missing" if one["value"] is None else None
            yield "observations", {"idem_key": idem, "observation_id": idem[-16:], "reason": reason, **one, **about}


def many(clients: int, *, mails: int = 0) -> Iterator[tuple[str, Row]]:
    """A clinic of any size: a response and a score for each client, and mails that they sent."""
    for number in range(clients):
        scores = {"phq9_total": (float(number % 28), "mild"), "gad7_total": (float(number % 22), "minimal")}
        day = f"2026-01-{number % 28 + 1:02d}T08:00:00Z"
        yield from answers(
            f"client{number}@example.invalid", number, Answered(at=day, scores=scores, flag=number % 9 == 0)
        )
    for number in range(mails):
        sender = (f"Client {number % clients}", f"client{number % clients}@example.invalid")
        yield "canonical_objects", mail(number, sender, ["desk@clinic.invalid"], "2026-02-01T09:00:00Z")


def store(client: StoracleClient, rows: Iterable[tuple[str, Row]], *, namespace: str = "prod") -> None:
    _apply(client, rows, "table.upsert", namespace)


def erase(client: StoracleClient, rows: Iterable[tuple[str, Row]], *, namespace: str = "prod") -> None:
    """As if they had never been there."""
    _apply(client, ((table, {"idem_key": row["idem_key"]}) for table, row in rows), "table.delete", namespace)


def _apply(client: StoracleClient, rows: Iterable[tuple[str, Row]], method: str, namespace: str) -> None:
    by_table: dict[str, list[Row]] = {}
    for table, row in rows:
        by_table.setdefault(table, []).append(row)
    run_id = new_run_id(SystemClock().now())
    meta = RpcMeta(
        job_id="seed",
        run_id=run_id,
        step_id="seed",
        correlation_id=run_id,
        ts="2026-01-01T00:00:00+00:00",
        namespace=namespace,
    )
    meta = replace(meta, token=client.open_run(meta))
    for table, all_of_them in by_table.items():
        target = {"dataset": TABLES[table], "table": table, "key_columns": ["idem_key"]}
        client.execute_plan(build_plan_from_items(all_of_them, f"{run_id} {table}", method, **target), meta)  # type: ignore[arg-type]
