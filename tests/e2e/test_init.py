"""`lorchestra init`: what it writes is a project that works, and what was there stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data_plane import rows_in
from tests.e2e.cli import Project

WRITTEN = ("lorchestra.yaml", "jobs/definitions/ingest_inbox.yaml", "inbox/visits.jsonl", ".gitignore")


def test_a_new_project_has_no_mistakes_and_its_job_runs(tmp_path: Path) -> None:
    around = Project(tmp_path)
    told = around.inside("init", "my clinic").require(0).out
    for name in WRITTEN:
        assert f"wrote my clinic/{name}\n" in told
    assert "  cd 'my clinic'\n" in told
    project = Project(tmp_path / "my clinic")
    assert project.inside("jobs", "validate").require(0).out == "1 definition checked, no mistakes\n"
    project.inside("-q", "exec", "job", "ingest_inbox").require(0)
    landed = rows_in(project.root / ".lorchestra" / "data.db", "raw", "raw_objects")
    assert [row["idem_key"] for row in landed] == [f"desk:inbox:visit:v-{number}" for number in (1, 2, 3)]
    # What Git is told to ignore is what runs leave.
    left = {path.name for path in project.root.iterdir()} - {name.partition("/")[0] for name in WRITTEN}
    assert left == {".lorchestra"}
    assert ".lorchestra/" in (project.root / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("there", WRITTEN)
def test_nothing_is_overwritten_and_nothing_begun_beside_it(tmp_path: Path, there: str) -> None:
    project = Project(tmp_path).write(there, "mine")
    refused = project.inside("init").require(78)
    assert f"{there}: there already" in refused.err
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    Project(tmp_path).write("file", "")
    refused = Project(tmp_path).inside("init", "file/below").require(78)
    assert "file/below/lorchestra.yaml cannot be written: Not a directory" in refused.err
