"""What the project promises of itself: what it declares is locked, and what its contracts speak of exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: list[dict[str, Any]] = PYPROJECT["tool"]["importlinter"]["contracts"]

LOCKED = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", LOCK, re.MULTILINE)
}
DECLARED = [
    Requirement(text)
    for text in (
        *PYPROJECT["project"]["dependencies"],
        *PYPROJECT["project"]["optional-dependencies"]["dev"],
        *PYPROJECT["build-system"]["requires"],
    )
]


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "lorchestra", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def names_of(contract: dict[str, Any]) -> Iterator[str]:
    """Every module a contract speaks of, in full."""
    for layer in contract.get("layers", []):
        yield from (f"{container}.{name.strip()}" for container in contract["containers"] for name in layer.split(":"))
    for key in ("source_modules", "forbidden_modules", "protected_modules", "allowed_importers"):
        yield from contract.get(key, [])


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "lorchestra"


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_every_declared_dependency_is_locked_at_a_version_it_allows(requirement: Requirement) -> None:
    version = LOCKED.get(canonicalize_name(requirement.name))

    assert version is not None, "run `make lock`"
    assert requirement.specifier.contains(version, prereleases=True), "run `make lock`"


def test_everything_locked_has_a_hash() -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]

    assert len(entries) == len(LOCKED)
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_the_lock_names_no_registry_and_no_place_of_a_machine() -> None:
    wrong = [line for line in LOCK.splitlines() if re.search(r"://|@ |--(extra-)?index|--find-links|(^|\s)/\w", line)]

    assert not wrong


def test_every_contract_on_imports_says_something() -> None:
    assert {contract["type"] for contract in CONTRACTS} == {"layers", "forbidden", "protected"}
    assert not [contract["name"] for contract in CONTRACTS if not list(names_of(contract))]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract["name"])
def test_the_modules_of_a_contract_exist(contract: dict[str, Any]) -> None:
    known = import_graph().modules
    # A forbidden package that nobody imports is a kept contract; any other unknown name is a contract about nothing.
    wanted = {name for name in names_of(contract) if is_ours(name) or name in contract.get("protected_modules", [])}

    missing = {name for name in wanted if name.removesuffix(".*") not in known}

    assert not missing


def test_imports_keep_the_contracts() -> None:
    linter = Path(sys.executable).parent / "lint-imports"

    found = subprocess.run(
        [linter, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_the_pipeline_runs_the_test_command_of_the_readme_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith(("#", "set ", "cd "))]

    assert commands == ["make test"]
    assert "make test" in (ROOT / "README.md").read_text()
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "prove"])
def test_every_target_sets_the_project_up_by_itself(target: str) -> None:
    assert re.search(rf"^{target}: \$\(READY\)", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    made = subprocess.run(
        ["make", "--silent", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert made.returncode != 0
    assert made.stderr.startswith("lorchestra needs Python 3.11 or newer")
    assert not (tmp_path / "venv").exists()
