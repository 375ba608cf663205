"""A shipped ingest job in a project: from the connection in its settings to the rows, also when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.data_plane import rows_in
from tests.e2e.cli import DEADLINE_S, Project, clean_environment
from tests.google_clinic import CANARY, CLIENT_SECRET, REFRESH_TOKEN, GoogleClinic

JOB = Path(__file__).parents[2] / "jobs/definitions/ingest/ingest_gmail_acct1.yaml"
SECRETS = {"CLIENT_SECRET": CLIENT_SECRET, "REFRESH_TOKEN": REFRESH_TOKEN}
SETTINGS = """
connections:
  gmail-acct1:
    connector: gmail
    base_url: {url}
    requests_per_s: 1000
    retries: {{max_retries: 1, initial_delay_seconds: 0}}
    credentials:
      kind: refresh_token
      client_id: one
      client_secret: env:CLIENT_SECRET
      refresh_token: env:REFRESH_TOKEN
      token_url: {url}/token
"""


@pytest.fixture
def clinic() -> Iterator[GoogleClinic]:
    with GoogleClinic(largest_page=6) as clinic:
        now = datetime.now(UTC)
        for number in range(1, 31):
            clinic.receive(number, now - timedelta(days=31 - number))
        yield clinic


@pytest.fixture
def desk(project: Project, clinic: GoogleClinic) -> Project:
    # Batches so small that some have landed when the job is killed.
    text = JOB.read_text().replace("key_columns: [idem_key]}", "key_columns: [idem_key], batch_size: 5}")
    project.write("jobs/definitions/ingest_gmail_acct1.yaml", text)
    return project.settings(SETTINGS.format(url=clinic.server.url))


def landed(desk: Project) -> list[str]:
    return [row["external_id"] for row in rows_in(desk.root / ".lorchestra/data.db", "raw", "raw_objects")]


def test_a_load_that_is_killed_is_gone_on_with(desk: Project, clinic: GoogleClinic) -> None:
    environ = clean_environment(desk.root, SECRETS)
    command = [sys.executable, "-m", "lorchestra", "run", "ingest_gmail_acct1"]
    started: list[subprocess.Popen[bytes]] = []
    clinic.server.faults.add(lambda: os.kill(started[0].pid, signal.SIGKILL), path="/messages/", after=17)
    with subprocess.Popen(command, cwd=desk.root, env=environ, stderr=subprocess.PIPE) as process:
        started.append(process)
        process.wait(DEADLINE_S)
    assert process.returncode == -signal.SIGKILL
    before = landed(desk)
    assert 0 < len(before) < 30
    clinic.fetched()

    [run] = desk.runs()
    resumed = desk("runs", "resume", run.run_id, "--json", environ=SECRETS).require(0)

    assert landed(desk) == [f"m{number:04d}" for number in range(1, 31)]
    # All up to the cursor is left alone, but for the last day.
    again = set(clinic.fetched()) & set(before)
    assert len(again) <= 5 + 2
    assert CANARY not in resumed.out + resumed.err


def test_a_job_without_its_connection_or_secret_says_what_to_do(desk: Project, clinic: GoogleClinic) -> None:
    refused = desk.inside("run", "ingest_gmail_acct1").require(2)
    assert "the secret `env:" in refused.out + refused.err
    assert clinic.server.requests == []
    refused = desk.settings("# none\n").inside("run", "ingest_gmail_acct1").require(78)
    assert "no connection is named 'gmail-acct1'" in refused.err
    assert len(desk.runs()) == 1
