"""Responses to forms become measurement events and observations: the shipped jobs, over SQLite."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable import CallableRegistry
from lorchestra.errors import TransientError
from lorchestra.registry import JobRegistry
from lorchestra.reporting import log
from lorchestra.result import ExecutionResult
from lorchestra.schemas import JobDef
from lorchestra.storacle import RpcClient
from lorchestra.storacle.codec import Message
from lorchestra.storacle.transports import InProcessTransport, Transport
from tests.forms import ROOT, response
from tests.jobs import Lab, build, call, job, outcomes, submit

CALM = {"phq9": [0] * 9 + ["Not difficult at all"], "gad7": [0] * 8, "pss_10": [2] * 10}
LOW: dict[str, list[Any]] = {
    "phq9": ["several days", " More than half the days ", "NEARLY EVERY DAY", 1, 2, 3, 0, 1, 1, "somewhat difficult"],
    "gad7": [3, 3, 3, 3, 0, 0, 0, "2"],
    "pss_10": [3, 3, 3, 1, 2, 3, 2, 2, 3, 3],
}


class Clinic:
    """Canonical responses in a data plane, and the shipped jobs over them."""

    def __init__(self, lab: Lab, content: Path) -> None:
        self.lab = lab
        self.content = content
        self._jobs = JobRegistry(ROOT / "jobs" / "definitions" / "formation")

    def load(self, *responses: Mapping[str, Any]) -> None:
        plan = build(
            "plan", "-", params={"items": list(responses), "dataset": "canonical", "table": "canonical_objects"}
        )
        assert self.lab.run(job(plan, submit("write", "plan"), job_id="load")).status == "completed"

    def run(self, job_id: str) -> ExecutionResult:
        return self.run_job(self._jobs.load(job_id))

    def run_job(self, definition: JobDef) -> ExecutionResult:
        return self.lab.run(definition, executor=self.lab.executor(content=self.content))

    def form(self, form: str = "intake_01") -> list[Mapping[str, int]]:
        """What each of the two jobs of a form wrote and marked."""
        results = [self.run(f"form_me_{form}"), self.run(f"form_obs_{form}")]
        assert {result.status for result in results} <= {"completed", "partial"}
        return [outcomes(result)[step].counts for result, step in zip(results, ("form", "score"), strict=True)]

    @property
    def events(self) -> list[dict[str, Any]]:
        return plain(self.lab.service.rows("derived", "measurement_events"))

    @property
    def observations(self) -> list[dict[str, Any]]:
        return plain(self.lab.service.rows("derived", "observations"))

    def said(self, scale_id: str, number: int | str = 1) -> tuple[Any, ...]:
        """Value, label, severity code and reason of an observation."""
        [row] = [
            row
            for row in self.observations
            if row["scale_id"] == scale_id and f":form_response:{number}#" in row["idem_key"]
        ]
        return row["value"], row["label"], row["severity_code"], row["reason"]

    def quarantined(self) -> list[tuple[Any, ...]]:
        rows = self.lab.service.rows("events", "quarantine")
        return [(row["idem_key"], row["schema"], row["pointer"], row["rule"]) for row in rows]


def plain(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows without who wrote them, and when."""
    left_out = {"first_seen", "last_seen", "correlation_id", "processed_at"}
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


@pytest.fixture
def clinic() -> Clinic:
    return Clinic(Lab(callables=CallableRegistry(entry_points=lambda: ())), ROOT)


def test_response_becomes_an_event_for_each_measure_and_observations_of_each(clinic: Clinic) -> None:
    clinic.load(response(1, LOW))
    assert clinic.form() == [{"record": 3, "marker": 1}, {"record": 13 + 10 + 11, "marker": 3}]

    phq9 = next(event for event in clinic.events if event["measure_id"] == "phq9")
    source = "google_forms:google-forms-intake-01:form_response:1#questionnaire_response"
    assert len(phq9.pop("measurement_event_id")) == 32
    assert phq9 == {
        "idem_key": f"{source}#me%3Aphq9",
        "measure_id": "phq9",
        "measure_version": "1-0-0",
        "subject_id": "p1@example.org",
        "binding_id": "intake_01",
        "binding_version": "1-0-0",
        "form_id": "intake_01",
        "form_submission_id": "1",
        "canonical_object_id": source,
        "timestamp": "2026-11-20T09:30:00.000000Z",
        "payload": {
            "answers": {"1": 1, "2": 2, "3": 3, "4": 1, "5": 2, "6": 3, "7": 0, "8": 1, "9": 1, "10": 1},
            "missing": {},
        },
    }
    assert clinic.said("phq9_total") == (14, "moderate", "moderate", None)
    assert clinic.said("phq9_severity") == (1, "somewhat difficult", "somewhat_difficult", None)
    assert clinic.said("phq9_item_3") == (3, "nearly every day", None, None)
    assert clinic.said("phq9_self_harm") == (1, "thoughts of death or self-harm", "self_harm", None)
    assert clinic.said("gad7_total") == (12, "moderate", "moderate", None)
    assert clinic.said("gad7_severity") == (2, "very difficult", "very_difficult", None)
    assert clinic.said("pss_10_total") == (27, "high", "high", None)


def test_observations_hold_codes_and_what_a_score_stands_on(clinic: Clinic) -> None:
    clinic.load(response(1, {"phq9": [1, 1, None, *([1] * 6)]}))
    clinic.form()
    about = {row["scale_id"]: row["payload"] for row in clinic.observations}
    assert about["phq9_item_1"] == {"item": "1", "loinc": "44250-9", "answer_loinc": "LA6569-3"}
    assert about["phq9_total"] == {
        "loinc": "44261-6",
        "min": 0,
        "max": 27,
        "items": 9,
        "answered": 8,
        "missing": ["3"],
        "prorated": True,
    }
    assert about["phq9_self_harm"] == {"items": ["9"], "at_least": 1, "raised_by": ["9"]}
    event, *_ = clinic.events
    assert {row["measurement_event_id"] for row in clinic.observations} == {event["measurement_event_id"]}
    assert len({row["observation_id"] for row in clinic.observations}) == len(clinic.observations)


def test_second_run_writes_nothing(clinic: Clinic) -> None:
    clinic.load(response(1, LOW), response(2, CALM))
    clinic.form()
    before = clinic.events, clinic.observations, clinic.lab.service.ops()
    assert clinic.form() == [{}, {}]
    assert (clinic.events, clinic.observations, clinic.lab.service.ops()) == before


def test_corrected_response_changes_its_own_rows_and_leaves_none_behind(clinic: Clinic) -> None:
    clinic.load(response(1, LOW), response(2, CALM))
    clinic.form()
    before = [row["idem_key"] for row in clinic.observations]
    withdrawn = [None, None, None, *LOW["phq9"][3:8], "0"]
    clinic.load(response(1, {**LOW, "phq9": withdrawn}, submitted_at="2026-11-21T08:00:00Z"))

    assert clinic.form() == [{"record": 3, "marker": 1}, {"record": 34, "marker": 3}]
    assert [row["idem_key"] for row in clinic.observations] == before
    assert clinic.said("phq9_item_1") == (None, None, None, "not_answered")
    assert clinic.said("phq9_total") == (None, None, None, "too_many_missing")
    assert clinic.said("phq9_severity") == (None, None, None, "not_answered")
    assert clinic.said("phq9_self_harm") == (0, None, None, None)
    assert clinic.said("phq9_total", 2) == (0, "minimal", "minimal", None)


def test_measure_whose_answers_were_all_withdrawn_has_no_score_any_more(clinic: Clinic) -> None:
    clinic.load(response(1, LOW))
    clinic.form()
    clinic.load(response(1, {"gad7": LOW["gad7"]}, submitted_at="2026-11-21T08:00:00Z"))
    clinic.form()
    assert clinic.said("phq9_total") == (None, None, None, "too_many_missing")
    assert clinic.said("phq9_self_harm") == (None, None, None, "not_answered")
    assert clinic.said("gad7_total") == (12, "moderate", "moderate", None)


def test_response_without_any_item_of_a_measure_gives_no_event_for_it(clinic: Clinic) -> None:
    clinic.load(response(1, {"gad7": [1] * 7}), response(2, {"phq9": ["", " "]}))
    clinic.form()
    assert [event["measure_id"] for event in clinic.events] == ["gad7"]
    markers = clinic.lab.service.rows("storacle", "_processed")
    assert [row["result"] for row in markers if row["stage"] == "form_me_intake_01"] == ["ok", "empty"]


def test_unknown_answer_gives_no_score_and_never_a_wrong_one(clinic: Clinic) -> None:
    clinic.load(response(1, {"phq9": ["most days, I think", *([0] * 7), 2]}))
    clinic.form()
    assert clinic.said("phq9_item_1") == (None, None, None, "unknown_answer")
    assert clinic.said("phq9_total") == (None, None, None, "unknown_answer")
    assert clinic.said("phq9_self_harm")[0] == 1
    assert "most days" not in json.dumps([clinic.events, clinic.observations])


def test_only_responses_to_its_own_form_are_read(clinic: Clinic) -> None:
    clinic.load(response(1, LOW), response(2, LOW, form="followup"))
    assert clinic.form("followup") == [{"record": 2, "marker": 1}, {"record": 24 - 1, "marker": 2}]
    assert {event["binding_id"] for event in clinic.events} == {"followup"}


def test_record_that_is_no_response_is_set_aside_and_the_rest_goes_on(clinic: Clinic) -> None:
    bad = response(1, LOW, submitted_at="yesterday")
    clinic.load(bad, response(2, {"gad7": [0] * 7}))
    result = clinic.run("form_me_intake_01")
    assert result.status == "partial"
    assert clinic.quarantined() == [(bad["idem_key"], bad["canonical_schema"], "/submitted_at", "format")]
    assert [event["measure_id"] for event in clinic.events] == ["gad7"]
    assert clinic.run("form_me_intake_01").status == "completed"


def test_response_of_nobody_known_is_scored_all_the_same(clinic: Clinic) -> None:
    clinic.load(response(1, LOW, respondent=None), response(2, LOW, respondent={"email": " Ann@Example.org"}))
    clinic.form()
    assert {row["subject_id"] for row in clinic.observations} == {None, "ann@example.org"}


def test_changed_measure_is_scored_anew(clinic: Clinic, tmp_path: Path) -> None:
    clinic.content = tmp_path / "content"
    shutil.copytree(ROOT / "measures", clinic.content / "measures")
    clinic.load(response(1, CALM))
    clinic.form()
    path = clinic.content / "measures" / "instruments" / "phq9" / "1-0-0.json"
    path.write_text(path.read_text().replace('"label": "minimal"', '"label": "none to speak of"'))

    assert clinic.form()[1] == {"record": 34, "marker": 3}
    assert clinic.said("phq9_total") == (0, "none to speak of", "minimal", None)


def test_event_that_the_measure_does_not_give_is_set_aside(clinic: Clinic) -> None:
    clinic.load(response(1, LOW))
    clinic.run("form_me_intake_01")
    [phq9, *others] = sorted(clinic.events, key=lambda event: event["measure_id"] != "phq9")
    wrong = [
        {**phq9, "payload": {**phq9["payload"], "answers": {"1": 7}}},
        {**others[0], "measure_version": "2-0-0"},
        {**others[1], "payload": {"answers": {"99": 0}, "missing": {}}},
    ]
    plan = build("plan", "-", params={"items": wrong, "dataset": "derived", "table": "measurement_events"})
    assert clinic.lab.run(job(plan, submit("write", "plan"), job_id="spoil")).status == "completed"

    assert clinic.run("form_obs_intake_01").status == "partial"
    assert clinic.observations == []
    assert sorted(quarantined[2:] for quarantined in clinic.quarantined()) == [
        ("/measure_version", "const"),
        ("/payload/answers", "additionalProperties"),
        ("/payload/answers/1", "enum"),
    ]


# finalform


def finalform(*measures: str, params: Mapping[str, Any] | None = None) -> JobDef:
    """A job that writes both tables: the last two steps stand there twice."""

    def part(table: str) -> list[dict[str, Any]]:
        read = {"dataset": "canonical", "table": "canonical_objects", "unprocessed": f"form_{table}"}
        given = {"binding": "intake_01@1-0-0", "measures": measures, "yields": table, "read": read, **(params or {})}
        return [
            call(table, name="finalform", params=given),
            build(f"{table}_plan", table, params={"dataset": "derived", "table": table}),
            submit(f"{table}_write", f"{table}_plan"),
        ]

    return job(*part("measurement_events"), *part("observations"), job_id="form_phq9")


def test_finalform_makes_one_event_of_a_response_to_a_measure_and_its_observations(clinic: Clinic) -> None:
    clinic.load(response(1, LOW))
    definition = finalform("phq-9@1-0-0")
    assert clinic.run_job(definition).status == "completed"
    assert [event["measure_id"] for event in clinic.events] == ["phq9"]
    kinds = [row["kind"] for row in clinic.observations]
    assert {kind: kinds.count(kind) for kind in kinds} == {"item": 10, "scale": 2, "flag": 1}
    assert clinic.said("phq9_total") == (14, "moderate", "moderate", None)

    events = [row for row in clinic.lab.service.rows("events", "event_log") if row["event_type"] != "job.started"]
    assert {(row["event_type"], row["target_object_type"]) for row in events} == {
        ("finalization.completed", "measurement_events"),
        ("finalization.completed", "observations"),
    }
    before = clinic.lab.service.ops()
    assert clinic.run_job(definition).status == "completed"
    assert clinic.lab.service.ops() == before


def test_finalform_gives_the_rows_that_the_two_projectors_give(clinic: Clinic) -> None:
    clinic.load(response(1, LOW), response(2, CALM), response(3, {"phq9": ["?"] * 9}))
    clinic.run_job(finalform("phq9@1-0-0", "gad7@1-0-0", "pss_10@1-0-0"))
    at_once = clinic.events, clinic.observations
    clinic.lab.service = type(clinic.lab.service)()
    clinic.load(response(1, LOW), response(2, CALM), response(3, {"phq9": ["?"] * 9}))
    clinic.form()
    assert (clinic.events, clinic.observations) == at_once


def test_run_that_is_resumed_says_once_that_it_formed_something(clinic: Clinic) -> None:
    clinic.load(response(1, LOW))
    definition = finalform("phq9@1-0-0")
    client = RpcClient(Deaf(InProcessTransport(clinic.lab.service), to="finalization.completed"))
    failed = clinic.lab.run(definition, executor=clinic.lab.executor(content=ROOT, client=client))
    assert failed.status == "failed"

    assert clinic.lab.resume(failed, definition, executor=clinic.lab.executor(content=ROOT)).status == "completed"
    log = clinic.lab.service.rows("events", "event_log")
    assert [row["target_object_type"] for row in log if row["event_type"] == "finalization.completed"] == [
        "measurement_events",
        "observations",
    ]


class Deaf:
    """A transport that delivers all, and misses the answers to some."""

    def __init__(self, inner: Transport, *, to: str) -> None:
        self._inner = inner
        self._to = to

    def send(self, message: Message) -> object:
        answer = self._inner.send(message)
        if self._to in str(message):
            raise TransientError("the answer was lost")
        return answer


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"yields": "scores"}, "/params/yields: found text; expected one of 'measurement_events', 'observations'"),
        ({"bindings": "x"}, "/params: unknown key 'bindings'; expected one of measures, binding, yields; did you mean"),
        ({"binding": "intake_01"}, "/params/binding: found text; expected '<id>@<version>', such as phq9@1-0-0"),
        ({"measures": ["phq9"]}, "/params/measures/0: found text; expected '<id>@<version>', such as phq9@1-0-0"),
        (
            {"measures": ["phq9@1-0-0", "phq-9@1-0-0"]},
            "/params/measures: found a measure twice; expected each measure once",
        ),
        ({"measures": ["phq9@9-0-0"]}, "cannot be read"),
    ],
)
def test_params_that_make_no_sense_fail_the_step_and_say_why(clinic: Clinic, params: dict[str, Any], told: str) -> None:
    clinic.load(response(1, LOW))
    result = clinic.run_job(finalform("phq9@1-0-0", params=params))
    assert result.status == "failed"
    assert told in str(result.error)
    assert clinic.events == []


def test_log_tells_how_many_and_nothing_else(clinic: Clinic) -> None:
    clinic.load(response(1, LOW), response(2))
    written = io.StringIO()
    undo = log.configure(format="json", stream=written)
    try:
        clinic.run("form_me_intake_01")
    finally:
        undo()
    [line] = [line for line in map(json.loads, written.getvalue().splitlines()) if "formed" in line["event"]]
    assert (line["event"], line["rows"], line["empty"], line["rejected"]) == ("records.formed", 3, 1, 0)
    assert "example.org" not in written.getvalue()
