"""`lorchestra demo`: a day, the same day once more, and the next, held against what the clinic holds."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorchestra.demo import clinic
from lorchestra.demo.project import COPIES, DemoProject
from tests import clinic_expectations
from tests.clinic_day import DayProject
from tests.clinic_expectations import Expected, moved
from tests.e2e.cli import Project

FOLDER = "demo"


@pytest.fixture
def desk(tmp_path: Path) -> Project:
    """A folder that is no project, in which somebody tries the demo."""
    return Project(tmp_path)


@pytest.mark.parametrize("scale", [0.25, pytest.param(1.0, marks=pytest.mark.prove)])
def test_a_day_moves_what_is_new_and_only_that(desk: Project, scale: float) -> None:
    demo = ("demo", "--folder", FOLDER, "--scale", str(scale))
    today, tomorrow = (clinic_expectations.of(clinic.of_day(day, scale=scale)) for day in (1, 2))
    project = DayProject(desk.root / FOLDER)

    told = desk.inside(*demo, "--json").require(0).json
    _expect_told(told, Expected(), today)
    _expect_tables(project, today)
    _expect_copies(project, today)
    _expect_pages(project, today)
    assert scale < 1 or _is_messy(today)

    before = project.all()
    again = desk.inside(*demo).require(0)
    assert "\n  nothing: all of it was there already, and no row or file was touched\n" in again.out
    assert project.all() == before

    told = desk.inside(*demo, "--day", "2", "--json").require(0).json
    _expect_told(told, today, tomorrow)
    _expect_tables(project, tomorrow)
    _expect_copies(project, tomorrow)
    _expect_pages(project, tomorrow)


def _is_messy(expected: Expected) -> bool:
    """Whether there is something of all that can happen to a record."""
    reasons = {row["reason"] for row in expected.observations.values()}
    refused = {place for faults in expected.quarantine.values() for place, _ in faults}
    return (
        reasons >= {None, "not_answered", "unknown_answer", "too_many_missing"}
        and refused >= {"/payload", "/payload/headers", "/createTime", "/answers"}
        and any(row["subject_id"] is None for row in expected.events.values())
        and any(client["open_flags"] for client in expected.clients.values())
    )


def _expect_told(told: Mapping[str, Any], before: Expected, after: Expected) -> None:
    """What the demo says of the day."""
    assert told["moved"] == {
        "raw_objects": moved(before.raw, after.raw),
        "canonical_objects": moved(before.canonical, after.canonical),
        "measurement_events": moved(before.events, after.events),
        "observations": moved(before.observations, after.observations),
        "quarantine": moved(before.quarantine, after.quarantine),
        # Beside the pages lies the list of them, which moves as they do.
        "files in vault": _with_list(moved(before.pages(), after.pages())),
        "files in copies": {"total": 1, "new": int(not before.raw), "changed": int(bool(before.raw)), "gone": 0},
    }
    assert not told["unchanged"]
    # Only what was set aside anew makes a day partial.
    assert told["exit_code"] == (1 if before.quarantine.keys() != after.quarantine.keys() else 0)
    set_aside = {(one["job_id"], one["pointer"], one["rule"]): one["records"] for one in told["set_aside"]}
    assert sum(set_aside.values()) == len(after.quarantine)
    assert len(told["clients"]) == 2
    for client in told["clients"]:
        assert client == {name: after.clients[client["email"]][name] for name in client}


def _with_list(pages: dict[str, int]) -> dict[str, int]:
    counts = Counter(pages)
    counts["total"] += 1
    counts["new" if pages["new"] == pages["total"] else "changed"] += 1
    return dict(counts)


def _expect_tables(project: DayProject, expected: Expected) -> None:
    tables = project.tables()
    raw = {
        row["idem_key"]: {name: row[name] for name in ("payload", "validation_status")} for row in tables["raw_objects"]
    }
    assert raw == expected.raw
    assert {row["idem_key"] for row in tables["canonical_objects"]} == expected.canonical.keys()
    assert all(row["payload"]["id"] in row["idem_key"] for row in tables["canonical_objects"] if _is_mail(row))
    quarantined = {f"{row['job_id']} {row['idem_key']}": (row["pointer"], row["rule"]) for row in tables["quarantine"]}
    assert quarantined.keys() == expected.quarantine.keys()
    assert all(reason in expected.quarantine[key] for key, reason in quarantined.items())


def _is_mail(row: Mapping[str, Any]) -> bool:
    return bool(row["canonical_format"] == "jmap_lite")


def _expect_copies(project: DayProject, expected: Expected) -> None:
    copies = project.copies()
    assert copies.keys() == {"proj_clients", "proj_form_responses", "measurement_events", "observations"}
    assert {row["email"]: row for row in copies["proj_clients"]} == expected.clients
    assert {row["idem_key"]: row for row in copies["proj_form_responses"]} == expected.responses
    for table, rows in (("measurement_events", expected.events), ("observations", expected.observations)):
        found = {row["idem_key"]: row for row in copies[table]}
        assert found.keys() == rows.keys()
        assert {key: {name: row[name] for name in rows[key]} for key, row in found.items()} == rows
    _expect_types(project.root / "copies" / "clinic.db")


def _expect_types(path: Path) -> None:
    """Numbers are numbers in the file too, and moments are texts that sort as they do."""
    kinds = {"responses": "integer", "phq9_score": "real", "mails": "integer", "first_response_at": "text"}
    with closing(sqlite3.connect(path)) as connection:
        columns = ", ".join(f"max(typeof({name})), min(typeof({name}))" for name in kinds)
        where = "WHERE phq9_score IS NOT NULL"
        (types,) = connection.execute(f"SELECT {columns} FROM proj_clients {where}").fetchall()
        assert types == tuple(kind for kind in kinds.values() for _ in range(2))
        assert connection.execute("SELECT DISTINCT typeof(value) FROM observations ORDER BY 1").fetchall() == [
            ("null",),
            ("real",),
        ]


def _expect_pages(project: DayProject, expected: Expected) -> None:
    pages = {name: text for name, text in project.pages().items() if name.endswith(".md")}
    assert pages.keys() == {f"clients/{email}.md" for email in expected.clients}
    for email, client in expected.clients.items():
        front, _, body = pages[f"clients/{email}.md"].removeprefix("---\n").partition("\n---\n")
        said = yaml.safe_load(front)
        assert said == {name: client[name] for name in said}
        assert said.keys() == {
            *("email", "name", "responses", "last_response_at", "phq9_score", "gad7_score", "pss_10_score"),
            "open_flags",
        }
        assert f"# {client['name'] or email}\n" in body
        assert ("**Please look at this.**" in body) == bool(client["open_flags"])
        for measure, name in (("phq9", "PHQ-9, depression"), ("gad7", "GAD-7, anxiety")):
            score, label, at = (client[f"{measure}_{what}"] for what in ("score", "label", "at"))
            assert (f"| {name} | {score} | {label} | {str(at)[:10]} |" in body) == (score is not None)


# What goes wrong


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("lorchestra.yaml", "log: {level: INFO}\n", "is of another project"),
        ("letter.txt", "Dear all,\n", "is not empty"),
    ],
)
def test_a_folder_of_something_else_is_left_alone(desk: Project, name: str, text: str, said: str) -> None:
    (desk.root / FOLDER).mkdir()
    desk.write(f"{FOLDER}/{name}", text)
    refused = desk.inside("demo", "--folder", FOLDER).require(78)
    assert said in refused.err
    assert "--folder" in refused.err
    assert [(path.name, path.read_text()) for path in (desk.root / FOLDER).iterdir()] == [(name, text)]


def test_a_day_that_fails_says_so_and_the_next_try_completes_it(desk: Project) -> None:
    demo = ("demo", "--folder", FOLDER, "--scale", "0.01")
    project = DemoProject(desk.root / FOLDER)
    project.prepare()
    project.connect("http://127.0.0.1:9")
    in_the_way = project.folder / COPIES / "clinic.db"
    in_the_way.mkdir()
    failed = desk.inside(*demo, "--json").require(2)
    assert failed.json["exit_code"] == 2
    assert failed.json["moved"]["observations"]["new"] > 0
    assert failed.json["moved"]["files in vault"]["total"] == 0

    in_the_way.rmdir()
    told = desk.inside(*demo, "--json").require(0).json
    expected = clinic_expectations.of(clinic.of_day(1, scale=0.01))
    assert told["moved"]["raw_objects"] == moved(expected.raw, expected.raw)
    _expect_copies(DayProject(project.folder), expected)
    _expect_pages(DayProject(project.folder), expected)
