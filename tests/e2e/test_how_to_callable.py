"""The how-to on callables, followed step by step: each file written, each command run, the package installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from . import pages
from .scratch_project import ScratchProject

# Everything that is needed is here already, so nothing is asked of a registry.
PIP_OPTIONS = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
PAGE = pages.page("docs/callables.md")


def install(package: Path, site: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "install", "--target", str(site), *PIP_OPTIONS, str(package)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_how_to_works_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    site = tmp_path / "site"
    project = ScratchProject(tmp_path / "clinic")
    project.folder.mkdir()

    for block in PAGE.blocks:
        if "installed" in block.words:
            install(project.folder / "package", site)
            project.environ["PYTHONPATH"] = str(site)
        project.carry_out(block)
    project.finish()


def test_the_how_to_shows_both_homes_a_callable_can_have() -> None:
    files = [block.file for block in PAGE.blocks if block.file]

    assert [file for file in files if file.startswith("callables/")]
    assert [file for file in files if file.endswith("pyproject.toml")]
