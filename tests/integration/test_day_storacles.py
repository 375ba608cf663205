"""The same day with each storacle: in process, over HTTP, in BigQuery. What it comes to is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lorchestra
from lorchestra.demo.clinic import ACCOUNTS, FORMS, Holdings
from lorchestra.workspace import Workspace
from tests import clinic_expectations
from tests.clinic_day import Clinic, DayProject, changed, small
from tests.standins.bigquery import BigQueryStandIn
from tests.standins.storacle_http import HttpStoracle

OTHERS = (
    *("ingest_gmail_acct2", "ingest_gmail_acct3", "ingest_google_forms_ipip120"),
    *("ingest_google_forms_intake_01", "ingest_google_forms_intake_02", "form_me_intake_01", "form_obs_intake_01"),
    *("sync_proj_form_responses", "sync_measurement_events", "sync_observations"),
)

# The project whose day is run, and the one whose folder gets the files.
Served = Iterator[tuple[DayProject, DayProject]]


@contextmanager
def in_process(clinic: Clinic, folder: Path) -> Served:
    project = clinic.project(folder / "project")
    yield project, project


@contextmanager
def over_http(clinic: Clinic, folder: Path) -> Served:
    serving = clinic.project(folder / "serving")
    with Workspace.open(start=serving.root, environ={}) as workspace, HttpStoracle(workspace.service) as server:
        yield clinic.project(folder / "project", kind="http", url=server.url), serving


@contextmanager
def in_bigquery(clinic: Clinic, folder: Path) -> Served:
    with BigQueryStandIn() as standin:
        named = {"project": standin.project, "endpoint": standin.url}
        project = clinic.project(folder / "project", kind="bigquery", bigquery=named)
        yield project, project


# At the other end of BigQuery is a stand-in, which is slow: the whole of it is for the exhaustive ones.
@pytest.mark.parametrize("storacle", [over_http, pytest.param(in_bigquery, marks=pytest.mark.prove)])
def test_a_day_and_the_next_come_to_the_same_whoever_keeps_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storacle: Callable[..., Any]
) -> None:
    first = small()
    second = changed(first)
    here = _days(tmp_path / "here", monkeypatch, in_process, first, second)
    assert _days(tmp_path / "there", monkeypatch, storacle, first, second) == here


@pytest.mark.prove
def test_a_few_records_come_to_the_same_in_bigquery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One mailbox and one form, all the way."""
    held = small(mails=5, clients=4)
    held.mailboxes.update({account: {} for account in ACCOUNTS[1:]})
    held.forms.update({form: {} for form in FORMS if form != "followup"})
    here = _days(tmp_path / "here", monkeypatch, in_process, held, skip=OTHERS)
    assert _days(tmp_path / "there", monkeypatch, in_bigquery, held, skip=OTHERS) == here


def _days(
    folder: Path, monkeypatch: pytest.MonkeyPatch, storacle: Callable[..., Any], *days: Holdings, **asked: Any
) -> list[dict[str, Any]]:
    """What there is after each day."""
    found = []
    with Clinic(days[0]) as clinic, storacle(clinic, folder) as (project, writing):
        monkeypatch.chdir(project.root)
        for held in days:
            clinic.hold(held)
            result = lorchestra.run_pipeline("daily_all", **asked)
            assert result.failed == 0, result.failures
            found.append({"tables": project.tables(), "copies": writing.copies(), "pages": writing.pages()})
    expected = clinic_expectations.of(days[-1])
    assert {row["email"]: row for row in found[-1]["copies"]["proj_clients"]} == expected.clients
    assert {row["idem_key"] for row in found[-1]["tables"]["observations"]} == expected.observations.keys()
    left_aside = {f"{row['job_id']} {row['idem_key']}" for row in found[-1]["tables"]["quarantine"]}
    assert left_aside == expected.quarantine.keys()
    return found
