"""`lorchestra storacle check`, for every kind of storacle there is, and what it says when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import pytest

from lorchestra.storacle import RpcClient
from lorchestra.storacle.backends.base import Applied, ReadyOp
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.checkup import Checkup
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.params import Meta
from lorchestra.storacle.transports import InProcessTransport
from tests.e2e.cli import DEADLINE_S, Project, clean_environment
from tests.e2e.test_storacle_serve import WITH_TOKEN, serving, using
from tests.standins.bigquery import BigQueryStandIn
from tests.standins.bigquery.client import connect

NAMES = ["access", "tables", "round trip", "fencing", "race", "clean up"]


@pytest.fixture
def standin() -> Iterator[BigQueryStandIn]:
    with BigQueryStandIn() as standin:
        yield standin


def on_bigquery(project: Project, standin: BigQueryStandIn, **more: str) -> Project:
    section = {"project": standin.project, "endpoint": standin.url, **more}
    said = ", ".join(f"{name}: '{value}'" for name, value in section.items())
    return project.settings(f"profiles: {{prod: {{storacle: {{kind: bigquery, bigquery: {{{said}}}}}}}}}\n")


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_storacle_of_this_process_is_fine(project: Project, kind: str) -> None:
    done = project.settings(f"storacle: {{kind: {kind}}}\n").inside("storacle", "check", "--json")
    names = [NAMES[0], "file", *NAMES[1:]] if kind == "sqlite" else NAMES
    assert [(one["check"], one["ok"]) for one in done.require(0).json] == [(name, True) for name in names]


def test_a_damaged_data_file_is_found(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=2000").require(1)
    data = people.root / ".lorchestra" / "data.db"
    content = bytearray(data.read_bytes())
    # A page in the middle, past those that every query needs.
    middle = len(content) // 2
    content[middle : middle + 4096] = b"\xff" * 4096
    data.write_bytes(bytes(content))
    done = people.inside("storacle", "check").require(78)
    assert "the data file is damaged" in done.out


def test_a_storacle_over_http_is_fine(project: Project) -> None:
    with serving(project.root / "data", "--token", "env:STORACLE_TOKEN") as service:
        done = using(project, service.url)("storacle", "check", environ=WITH_TOKEN)
    assert [line.split(":")[0].split() for line in done.require(0).out.splitlines()] == [
        ["ok", *name.split()] for name in NAMES
    ]


def test_a_storacle_in_bigquery_is_fine_and_keeps_nothing_of_the_check(
    project: Project, standin: BigQueryStandIn
) -> None:
    done = on_bigquery(project, standin)("storacle", "check", "--profile", "prod").require(0)
    assert done.out.count("ok ") == len(NAMES)
    assert standin.rows("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'smoke%'") == []
    assert standin.asked("datasets.delete")


def test_what_bigquery_refuses_is_told_and_is_a_matter_of_configuration(
    project: Project, standin: BigQueryStandIn
) -> None:
    standin.faults.answer(403, "accessDenied", times=100)
    done = on_bigquery(project, standin)("storacle", "check", "--profile", "prod", "--json").require(78)
    ((name, is_ok, said),) = [(one["check"], one["ok"], one["said"]) for one in done.json]
    assert (name, is_ok) == ("access", False)
    assert said.endswith("the caller may not do this (forbidden)")


def test_credentials_that_are_none_are_told_and_not_quoted(project: Project, standin: BigQueryStandIn) -> None:
    project.write("key.json", '{"client_email": "canary-51b7"}')
    said = "project: acme, endpoint: 'https://127.0.0.1:9', credentials: 'file:key.json'"
    project.settings(f"storacle: {{kind: bigquery, bigquery: {{{said}}}}}\n")
    done = project("storacle", "check").require(78)
    assert "unauthorized" in done.out
    assert "canary" not in done.out + done.err
    gone = project.settings(f"storacle: {{kind: bigquery, bigquery: {{{said.replace('key.json', 'gone.json')}}}}}\n")
    done = gone("storacle", "check").require(78)
    assert "gone.json" in done.err


def test_without_google_s_library_it_says_what_to_install(project: Project, standin: BigQueryStandIn) -> None:
    on_bigquery(project, standin)
    code = "import sys; sys.modules['google.cloud'] = None; from lorchestra.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "storacle", "check", "--profile", "prod"],
        cwd=project.root,
        env=clean_environment(project.root, {}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 78
    assert "install lorchestra with the extra `bigquery`" in done.stderr


def test_a_table_of_production_that_does_not_fit_is_found(project: Project, standin: BigQueryStandIn) -> None:
    """Its key is no text there, as somebody may have made it."""
    with connect(standin) as client:
        client.create_dataset("events")
        client.query_and_wait("CREATE TABLE events.quarantine AS SELECT 1 AS job_id")
    done = on_bigquery(project, standin)("storacle", "check", "--profile", "prod", "--json").require(78)
    assert [one["check"] for one in done.json if not one["ok"]] == ["tables"]


def test_a_job_keeps_its_data_in_bigquery(people: Project, standin: BigQueryStandIn) -> None:
    on_bigquery(people, standin)
    for _ in range(2):
        done = people("exec", "job", "people", "--payload", "count=3", "--profile", "prod", "--json").require(0)
        assert done.json["status"] == "completed"
    assert standin.rows("SELECT count(*) FROM raw.people") == [(3,)]
    events = standin.rows("SELECT event_type, count(*) FROM events.event_log GROUP BY 1 ORDER BY 1")
    assert events == [("job.completed", 2), ("job.started", 2)]


def test_a_storacle_that_does_not_keep_what_it_is_given_is_found_out() -> None:
    class Forgetful(SqliteBackend):
        def apply(self, unit: Sequence[ReadyOp], meta: Meta) -> list[Applied]:
            return [Applied(counts={"inserted": 1, "updated": 1}) for _ in unit]

    client = RpcClient(InProcessTransport(DataService(Forgetful(None))))
    found = Checkup(lambda: nullcontext(client), namespace="smoke_check1", run_id="check").findings()
    assert [one.name for one in found if not one.is_ok] == ["round trip", "fencing", "race"]
