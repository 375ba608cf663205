"""A day on which a provider is in trouble, and what the next run makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import lorchestra
from lorchestra.demo.clinic import ACCOUNTS
from lorchestra.pipelines.result import PipelineResult
from tests import clinic_expectations
from tests.clinic_day import Clinic, DayProject, small
from tests.clinic_expectations import FORM_NAMES, Expected


def test_an_account_that_lets_nobody_in_keeps_no_other_from_being_read_and_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = small()
    everything = clinic_expectations.of(held)
    with Clinic(held) as clinic:
        project = clinic.project(tmp_path)
        monkeypatch.chdir(project.root)
        # The forms are read as the first account too.
        gone = clinic.turn_away(ACCOUNTS[0])
        failed = lorchestra.run_pipeline("daily_all")
        _expect_keys(project, everything, lambda key: "gmail-acct2" in key or "gmail-acct3" in key)
        clinic.let_in(gone)
        made_up = lorchestra.run_pipeline("daily_all")

    of_account = {"ingest_gmail_acct1", *(f"ingest_{name.replace('-', '_')}" for name in FORM_NAMES.values())}
    assert _failed(failed) == of_account
    assert failed.status == "partial"
    assert not failed.stopped_early
    assert _failed(made_up) == set()
    _expect_keys(project, everything, lambda _: True)
    copied = {row["email"]: row for row in project.copies()["proj_clients"]}
    assert copied == everything.clients


def _failed(result: PipelineResult) -> set[str]:
    return {str(failure["job_id"]) for failure in result.failures}


def _expect_keys(project: DayProject, expected: Expected, is_there: Callable[[str], bool]) -> None:
    tables = project.tables()
    for table, rows in (("raw_objects", expected.raw), ("canonical_objects", expected.canonical)):
        assert {row["idem_key"] for row in tables[table]} == {key for key in rows if is_there(key)}
