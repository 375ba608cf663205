from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lorchestra import json_schemas
from lorchestra.errors import ConfigurationError
from lorchestra.json_schemas import SCHEMAS, file_name, json_schema, render
from lorchestra.schemas import JobDef, Op, StepDef

CONTENT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_the_committed_schema_is_the_one_the_model_gives(name: str) -> None:
    committed = (CONTENT / file_name(name)).read_text(encoding="utf-8")
    assert committed == render(name), "run `python -m lorchestra.json_schemas .`"


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_a_schema_says_what_it_is_and_names_no_host(name: str) -> None:
    schema = json_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:lorchestra:schema:{name}"
    assert schema["title"] == f"lorchestra {name}"
    assert schema["type"] == "object"
    assert list(schema)[:3] == ["$schema", "$id", "title"]


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_a_schema_refuses_keys_it_does_not_know(name: str) -> None:
    schema = json_schema(name)
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            assert part["additionalProperties"] is False


@pytest.mark.parametrize("name", ["job", "pipeline", "measure", "binding"])
def test_every_key_is_described(name: str) -> None:
    schema = json_schema(name)
    for part in (schema, *schema.get("$defs", {}).values()):
        for key, field in part.get("properties", {}).items():
            target = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else {}
            assert field.get("description") or target.get("description"), key


def test_keys_are_spelled_as_in_yaml() -> None:
    step = json_schema("job")["$defs"]["StepDef"]["properties"]
    assert "if" in step
    assert not {"if_", *StepDef.model_fields} - {"if_"} - step.keys()


def test_the_ops_are_the_closed_set() -> None:
    assert json_schema("job")["$defs"]["Op"]["enum"] == [op.value for op in Op]


def test_params_are_open() -> None:
    assert json_schema("job")["$defs"]["StepDef"]["properties"]["params"]["type"] == "object"
    assert "additionalProperties" not in json_schema("job")["$defs"]["StepDef"]["properties"]["params"]


def test_what_must_be_there_is_what_the_model_requires() -> None:
    required = {name for name, info in JobDef.model_fields.items() if info.is_required()}
    assert set(json_schema("job")["required"]) == required == {"job_id", "version", "steps"}


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no schema is named 'jobs'; known: job, pipeline, settings, measure, binding"
    ):
        json_schema("jobs")


def test_the_module_writes_all_schemas_into_a_folder(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "lorchestra.json_schemas", str(tmp_path)], check=True)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert written == {file_name(name) for name in SCHEMAS}
    for name in SCHEMAS:
        text = (tmp_path / file_name(name)).read_text(encoding="utf-8")
        assert text == json_schemas.render(name)
        assert json.loads(text) == json_schema(name)


def test_the_module_wants_one_folder() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lorchestra.json_schemas"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "usage" in done.stderr
