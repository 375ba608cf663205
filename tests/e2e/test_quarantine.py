"""Records that could not be processed, on the command line: listed, shown, and taken up once more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.data_plane import rows_in
from tests.e2e.cli import Project
from tests.examples import mail

_LOADING = """
- step_id: plan
  op: plan.build
  params: {items: '@payload.rows', method: table.upsert, dataset: raw, table: raw_objects, key_columns: [idem_key]}
- step_id: write
  op: storacle.submit
  params: {plan: '@run.plan.plan'}
"""
_STRICT = "gmail:gmail-acct1:email:m0002"


def load(project: Project, *rows: dict[str, Any]) -> None:
    project.write("rows.json", json.dumps({"rows": rows}))
    project.inside("run", "load", "--payload", "@rows.json").require(0)


def rows(project: Project, dataset: str, table: str, namespace: str = "prod") -> list[dict[str, Any]]:
    return rows_in(project.root / ".lorchestra" / "data.db", dataset, table, namespace=namespace)


@pytest.fixture
def clinic(project: Project) -> Project:
    """Two mails that cannot be read, and one that can."""
    project.job("load", _LOADING)
    load(project, mail(1), mail(2, internalDate="yesterday"), mail(3, payload=None))
    project.inside("run", "validate_gmail_source").require(1)
    return project


def test_quarantine_is_listed_with_place_and_rule_and_no_value(clinic: Project) -> None:
    shown = clinic.inside("quarantine", "list").require(0).out
    assert "RULE" in shown
    assert _STRICT in shown
    assert "/internalDate" in shown
    assert "yesterday" not in shown
    listed = clinic.inside("quarantine", "list", "--rule", "pattern", "--json").require(0).json
    assert [(one["idem_key"], one["job_id"], one["pointer"]) for one in listed] == [
        (_STRICT, "validate_gmail_source", "/internalDate")
    ]
    assert len(clinic.inside("quarantine", "list", "--limit", "1", "--json").require(0).json) == 1
    assert clinic.inside("quarantine", "list", "--job", "other").require(0).out == "no such records\n"


def test_empty_quarantine_says_so(project: Project) -> None:
    assert project.inside("quarantine", "list").require(0).out == "the quarantine is empty\n"
    assert project.inside("quarantine", "replay", "--all").require(0).out == "replayed 0 records\n"


def test_one_record_is_shown_with_the_run_that_set_it_aside_and_the_stages_that_wait(clinic: Project) -> None:
    shown = clinic.inside("quarantine", "show", _STRICT).require(0).out
    assert "  rule: pattern\n" in shown
    assert "done with it until it changes: validate_gmail_source" in shown
    [one] = clinic.inside("quarantine", "show", _STRICT, "--json").require(0).json
    [run] = [run for run in clinic.runs() if run.job_id == "validate_gmail_source"]
    assert (one["run_id"], one["stages"]) == (run.run_id, ["validate_gmail_source"])
    assert "no record in the quarantine has this key" in clinic.inside("quarantine", "show", "nobody").require(2).err


def test_replayed_record_is_taken_up_by_the_next_run(clinic: Project) -> None:
    clinic.inside("run", "validate_gmail_source").require(0)
    told = clinic.inside("quarantine", "replay", _STRICT).require(0).out
    assert told == "replayed 1 record\nthey are taken up by the next run of validate_gmail_source\n"
    assert [one["external_id"] for one in _marked(clinic)] == ["m0001", "m0003"]
    assert len(rows(clinic, "events", "quarantine")) == 1
    again = clinic.inside("run", "validate_gmail_source", "--json").require(1).json
    assert "rejected" in json.dumps(again)
    assert len(rows(clinic, "events", "quarantine")) == 2
    [event] = [row for row in rows(clinic, "events", "event_log") if row["event_type"] == "quarantine.replayed"]
    assert event["payload"] == {"records": 1, "markers": 1}


def _marked(project: Project) -> list[dict[str, str]]:
    return [{"external_id": row["idem_key"].rpartition(":")[2]} for row in rows(project, "storacle", "_processed")]


def test_replay_of_a_job_is_of_all_its_records_and_a_dry_run_changes_nothing(clinic: Project) -> None:
    choice = ("quarantine", "replay", "--job", "validate_gmail_source")
    assert "would replay 2 records" in clinic.inside(*choice, "--dry-run").require(0).out
    assert len(rows(clinic, "events", "quarantine")) == 2
    told = clinic.inside(*choice, "--json").require(0).json
    assert (len(told["records"]), told["markers"], told["missing"]) == (2, 2, [])
    assert rows(clinic, "events", "quarantine") == []
    assert len(_marked(clinic)) == 1


def test_replay_asks_which_and_names_what_is_not_there(clinic: Project) -> None:
    assert "say which" in clinic.inside("quarantine", "replay").require(64).err
    missing = clinic.inside("quarantine", "replay", _STRICT, "nobody").require(2)
    assert "not in the quarantine: nobody" in missing.err
    assert len(rows(clinic, "events", "quarantine")) == 1


def test_smoke_namespace_has_a_quarantine_of_its_own(clinic: Project) -> None:
    clinic.inside("run", "validate_gmail_source", "--smoke-namespace", "trial", "--read-from", "prod").require(1)
    assert len(clinic.inside("quarantine", "list", "--smoke-namespace", "trial", "--json").require(0).json) == 2
    clinic.inside("quarantine", "replay", "--all", "--smoke-namespace", "trial").require(0)
    assert rows(clinic, "events", "quarantine", "smoke_trial") == []
    assert len(rows(clinic, "events", "quarantine")) == 2
