"""The wheel carries the content that comes with lorchestra, and what is installed from it finds it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from lorchestra import built_in_content
from tests.e2e.cli import DEADLINE_S, clean_environment

ROOT = Path(__file__).parents[2]


def test_what_is_installed_from_the_wheel_runs_the_built_in_pipelines(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if name.startswith("lorchestra/content/")}
        archive.extractall(tmp_path / "installed")
    there = {
        f"lorchestra/content/{path.relative_to(ROOT).as_posix()}"
        for folder in built_in_content.FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not any(part.startswith((".", "__")) for part in path.relative_to(ROOT).parts)
    }
    assert carried == there

    project = tmp_path / "project"
    project.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "lorchestra", "exec", "pipeline", "daily_all", "--dry-run", "--json"],
        cwd=project,
        env=clean_environment(project, {"PYTHONPATH": str(tmp_path / "installed")}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert len(planned) == len({job["job_id"] for job in planned}) > 20
    assert list(project.iterdir()) == []
