"""Every shipped job, before it is run: what it reads and writes can be seen, by anybody, and nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorchestra.demo.clinic import ACCOUNTS, FORMS
from lorchestra.registry import JobRegistry
from lorchestra.schemas import JobDef, Op
from tests.e2e.cli import Project

JOBS = JobRegistry(Path(__file__).parents[2] / "jobs/definitions")
JOB_IDS = tuple(JOBS.list_jobs())
RAW, CANONICAL = "raw.raw_objects", "canonical.canonical_objects"
EVENTS, OBSERVATIONS = "derived.measurement_events", "derived.observations"
DAY = (
    *((f"ingest_gmail_acct{number}", [f"connection gmail-acct{number}"], RAW) for number in (1, 2, 3)),
    *(
        (f"ingest_google_forms_{form}", [f"connection google-forms-{form.replace('_', '-')}"], RAW)
        for form in ("ipip120", "intake_01", "intake_02", "followup")
    ),
    ("validate_gmail_source", [RAW], RAW),
    ("canonize_gmail_jmap", [RAW], CANONICAL),
    ("validate_google_forms_source", [RAW], RAW),
    ("canonize_google_forms_responses", [RAW], CANONICAL),
    *((f"form_me_{form}", [CANONICAL], EVENTS) for form in ("intake_01", "followup")),
    *((f"form_obs_{form}", [EVENTS], OBSERVATIONS) for form in ("intake_01", "followup")),
    ("view_proj_form_responses", [], "proj_form_responses (view.create)"),
    ("view_proj_clients", [], "proj_clients (view.create)"),
    *(
        (f"sync_{table.partition('.')[2]}", [table], f"copies/clinic.db/{table.partition('.')[2]} (sqlite.sync)")
        for table in ("derived.proj_clients", "derived.proj_form_responses", EVENTS, OBSERVATIONS)
    ),
    ("file_proj_clients", ["derived.proj_clients"], "vault/clients (file.write)"),
)


@pytest.fixture
def clinic(project: Project) -> Project:
    """A project whose secrets are nowhere, and whose providers nobody can reach."""
    connections: dict[str, Any] = {
        f"gmail-acct{number}": {"connector": "gmail", "account": account} for number, account in enumerate(ACCOUNTS, 1)
    }
    connections |= {
        f"google-forms-{form.replace('_', '-')}": {"connector": "google_forms", "form_id": form} for form in FORMS
    }
    for connection in connections.values():
        connection["base_url"] = "http://127.0.0.1:9"
        connection["credentials"] = {
            "kind": "refresh_token",
            "client_id": "nobody",
            "client_secret": "env:NOT_SET",
            "refresh_token": "file:not/there",
        }
    roots = {"copies": "not/made", "vault": "not/made/either"}
    return project.settings(yaml.safe_dump({"connections": connections, "storacle": {"roots": roots}}))


@pytest.fixture
def untouched(clinic: Project) -> Iterator[Project]:
    before = _files(clinic)
    yield clinic
    assert _files(clinic) == before


def _files(project: Project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in project.root.rglob("*")}


def test_the_whole_day_is_listed_in_order_with_what_each_job_reads_and_writes(untouched: Project) -> None:
    listed = untouched.inside("exec", "pipeline", "daily_all", "--dry-run", "--json").require(0).json
    assert [(job["job_id"], job["reads"], job["writes"]) for job in listed] == [
        (job_id, reads, [writes if "(" in writes else f"{writes} (table.upsert)"]) for job_id, reads, writes in DAY
    ]
    assert sorted(JOB_IDS) == sorted(job_id for job_id, _, _ in DAY)
    told = untouched.inside("exec", "pipeline", "daily_all", "--dry-run").require(0).out.splitlines()
    assert len(told) == len(DAY) + 1


@pytest.mark.parametrize("job_id", JOB_IDS)
def test_each_job_shows_what_it_would_do(untouched: Project, job_id: str) -> None:
    shown = untouched.inside("exec", "job", job_id, "--dry-run", "--json").require(0).json
    assert shown["status"] == "dry_run"
    first, *others = shown["preview"]["steps"]
    assert first["callable"]["origin"] == "built in"
    assert any("writes" in step for step in others)


# The three steps


@pytest.mark.parametrize("job_id", JOB_IDS)
def test_each_job_is_a_call_and_then_plans_that_are_submitted(job_id: str) -> None:
    job: JobDef = JOBS.load(job_id)
    first, *others = job.steps
    assert job.version == "2.0"
    assert first.op is Op.CALL
    assert [step.op for step in others] == [Op.PLAN_BUILD, Op.STORACLE_SUBMIT] * (len(others) // 2)
    assert others
    for plan, write in zip(others[::2], others[1::2], strict=True):
        assert plan.params["items"] == f"@run.{first.step_id}.items"
        assert write.params == {"plan": f"@run.{plan.step_id}.plan"}
