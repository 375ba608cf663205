"""The JSON Schemas that editors use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cli import run_cli


@pytest.mark.parametrize("kind", ["job", "pipeline", "settings"])
def test_a_schema_is_printed_as_it_is_kept_in_the_repository(tmp_path: Path, kind: str) -> None:
    printed = run_cli("schema", kind, cwd=tmp_path).require(0)
    kept = Path(__file__).parents[2] / "schemas" / f"{kind}.schema.json"
    assert printed.json == json.loads(kept.read_text(encoding="utf-8"))
    assert list(tmp_path.iterdir()) == []
