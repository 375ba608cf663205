"""Each test has a project folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import cli
from tests.e2e.cli import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project: a settings file that says nothing, and a folder for definitions."""
    root = tmp_path / "project"
    (root / "jobs" / "definitions").mkdir(parents=True)
    return Project(root).settings("# the defaults\n")


@pytest.fixture
def people(project: Project) -> Project:
    return cli.with_people(project)
