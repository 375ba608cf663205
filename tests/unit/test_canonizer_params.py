"""What a step may ask the canonizer for, and what a transform says of itself."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from lorchestra.callable import canonizer
from lorchestra.callable.canonizer.params import CanonizerParams, Mode
from lorchestra.callable.canonizer.transform import Transform
from lorchestra.errors import ConfigurationError, DefinitionError
from tests.examples import TRANSFORMS

VALIDATE = {"mode": "validate_only", "schema_in": "iglu:raw/visit/jsonschema/1-0-0"}
FULL = {"schema_in": "iglu:raw/visit/jsonschema/1-0-0", "transform": "visits@1.0.0"}


def test_mode_is_full_unless_it_is_said() -> None:
    assert CanonizerParams.parse(FULL).mode is Mode.FULL
    assert CanonizerParams.parse(VALIDATE).mode is Mode.VALIDATE_ONLY


def test_files_that_a_step_needs_are_declared() -> None:
    asked = {**FULL, "schema_out": "iglu:c/visit/jsonschema/1-0-0", "schemas": ["iglu:c/site/jsonschema/2-0-0"]}
    assert set(canonizer.resources(asked).values()) == {
        "schemas/iglu/raw/visit/jsonschema/1-0-0",
        "schemas/iglu/c/visit/jsonschema/1-0-0",
        "schemas/iglu/c/site/jsonschema/2-0-0",
        "transforms/visits/1.0.0/transform.jsonata",
        "transforms/visits/1.0.0/metadata.json",
    }


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({**FULL, "mode": "both"}, "'mode' is no mode; one of validate_only, full"),
        ({**FULL, "shema_in": "x"}, "the canonizer has no param 'shema_in'; .* did you mean 'schema_in'"),
        ({"transform": "visits@1.0.0"}, "'schema_in' is missing"),
        ({"schema_in": FULL["schema_in"]}, "'transform' is missing"),
        ({**FULL, "transform": "visits"}, "'transform' is no transform; name and version"),
        ({**FULL, "transform": "../x@1.0.0"}, "'transform' is no transform"),
        ({**VALIDATE, "transform": "visits@1.0.0"}, "'transform' has no meaning with mode validate_only"),
        ({**FULL, "engine": "js"}, "'engine' is no engine; one of jsonatapy, jsonata-python"),
        ({**FULL, "record_timeout_s": 0}, "'record_timeout_s' is no such time"),
        ({**FULL, "record_timeout_s": True}, "'record_timeout_s' is no such time"),
        ({**FULL, "schemas": "x"}, "'schemas' is no list"),
    ],
)
def test_mistake_in_the_params_is_told(params: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        CanonizerParams.parse(params)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        CanonizerParams.parse({"mode": "x", "transform": "y", "engine": "z"})
    assert len(caught.value.problems) == 3


# Transforms

SOURCE = b'{"id": id}'
METADATA = {
    "name": "visits",
    "version": "1.0.0",
    "schema_in": "iglu:raw/visit/jsonschema/1-0-0",
    "schema_out": "iglu:c/visit/jsonschema/1-0-0",
    "canonical_format": "visit",
    "sha256": hashlib.sha256(SOURCE).hexdigest(),
}


def transform(source: bytes = SOURCE, *, without: str | None = None, **changes: Any) -> Transform:
    params = CanonizerParams.parse(FULL)
    assert params.transform is not None
    metadata = {name: value for name, value in {**METADATA, **changes}.items() if name != without}
    made = Transform(params.transform, source, json.dumps(metadata).encode())
    made.require_fit(params)
    return made


def test_transform_is_what_its_metadata_says() -> None:
    assert transform().schema_out.name == "visit"


@pytest.mark.parametrize(
    ("source", "changes", "told"),
    [
        (b'{"id": 1}', {}, "has not the checksum that its metadata.json says"),
        (SOURCE, {"version": "2.0.0"}, "is about another transform, or another version"),
        (SOURCE, {"schema_in": "iglu:raw/other/jsonschema/1-0-0"}, "the step's 'schema_in' is iglu:raw/visit"),
        (SOURCE, {"sha256": "0"}, "metadata.json is not right at sha256"),
        (SOURCE, {"without": "canonical_format"}, "metadata.json is not right at canonical_format"),
        (SOURCE, {"more": 1}, "metadata.json is not right at more"),
    ],
)
def test_transform_that_is_not_what_it_says_is_refused(source: bytes, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        transform(source, **changes)


def test_every_shipped_transform_is_whole() -> None:
    found = sorted(path.parent for path in TRANSFORMS.glob("*/*/metadata.json"))
    assert len(found) >= 2
    for folder in found:
        metadata = json.loads((folder / "metadata.json").read_text())
        params = CanonizerParams.parse(
            {
                "schema_in": metadata["schema_in"],
                "schema_out": metadata["schema_out"],
                "transform": f"{folder.parent.name}@{folder.name}",
            }
        )
        assert params.transform is not None
        source, written = ((folder / name).read_bytes() for name in ("transform.jsonata", "metadata.json"))
        Transform(params.transform, source, written).require_fit(params)
        assert list(folder.glob("examples/*.in.json"))
