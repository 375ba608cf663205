"""Our engines, compared with the reference implementation of JSONata in JavaScript, where Node is present.

The reference is not given our functions but what they gave: the calls are recorded, and a call that was not made before
fails. So it has to ask the same of them, too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable.canonizer import engines
from lorchestra.callable.canonizer.engines import EngineName, TransformFailed
from lorchestra.callable.canonizer.engines.base import Functions
from lorchestra.callable.canonizer.functions import FUNCTIONS
from tests.examples import all_examples
from tests.expressions import BINDINGS, DOCUMENT, FAILURES, VALUES
from tests.expressions import FUNCTIONS as SMALL

PACKAGE = "jsonata@2.2.2"
SCRIPT = Path(__file__).resolve().parents[1] / "standins" / "jsonata_reference.cjs"
DEADLINE_S = 60

Outcome = dict[str, Any]


@pytest.fixture(scope="module")
def reference() -> Path:
    """Where the reference is: fetched once, by npm, into a folder for temporary files."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed, so there is no reference to compare with")
    kept = Path(tempfile.gettempdir()) / f"lorchestra-{os.getuid()}-{PACKAGE.replace('@', '-')}"
    if not kept.is_dir():
        fetched = tempfile.mkdtemp()
        _fetch(fetched)
        # Whole or not at all; another process may have been faster.
        with suppress(OSError):
            Path(fetched).rename(kept)
        shutil.rmtree(fetched, ignore_errors=True)
    if kept.stat().st_uid != os.getuid():
        pytest.skip(f"{kept} is somebody else's")
    return kept / "node_modules"


def _fetch(folder: str) -> None:
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder, PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {PACKAGE} within {DEADLINE_S} s")
    if done.returncode != 0:
        pytest.skip(f"npm could not fetch {PACKAGE} (exit code {done.returncode})")


class Recording:
    """Functions, and what each gave for which arguments."""

    def __init__(self, functions: Functions) -> None:
        self.calls: dict[str, dict[str, Any]] = {name: {} for name in functions}
        self.functions = {name: self._recorded(name, function) for name, function in functions.items()}

    def _recorded(self, name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            result = function(*arguments)
            asked = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
            self.calls[name][asked] = result
            return result

        return call


def ours(name: EngineName, source: str, value: Any, bindings: dict[str, Any], functions: Functions) -> Outcome:
    try:
        return {"result": engines.find(name).compile(source, functions, 30.0).evaluate(value, bindings)}
    except TransformFailed as error:
        return {"error": error.rule}


def by_reference(modules: Path, cases: list[dict[str, Any]]) -> list[Outcome]:
    done = subprocess.run(
        ["node", str(SCRIPT)],
        input=json.dumps(cases).encode(),
        capture_output=True,
        env={"NODE_PATH": str(modules)},
        executable=shutil.which("node"),
        timeout=DEADLINE_S,
        check=True,
    )
    outcomes: list[Outcome] = json.loads(done.stdout)
    return outcomes


@pytest.mark.parametrize("name", list(EngineName))
def test_engine_gives_what_the_reference_gives(reference: Path, name: EngineName) -> None:
    asked: list[tuple[str, Any, dict[str, Any], Functions]] = [
        (source, DOCUMENT, BINDINGS, SMALL) for source in (*(one for one, _ in VALUES), *(one for one, _ in FAILURES))
    ]
    asked += [(one.source, one.payload, {"row": one.row}, FUNCTIONS) for one in all_examples()]
    assert len(asked) > 80
    found: list[Outcome] = []
    cases: list[dict[str, Any]] = []
    for source, value, bindings, functions in asked:
        recording = Recording(functions)
        found.append(ours(name, source, value, bindings, recording.functions))
        cases.append({"source": source, "value": value, "bindings": bindings, "calls": recording.calls})
    for case, mine, theirs in zip(cases, found, by_reference(reference, cases), strict=True):
        assert mine == theirs, case["source"][:200]
