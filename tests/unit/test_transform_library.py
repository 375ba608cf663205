"""The schemas and transforms of a project, checked before anything runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lorchestra.callable.canonizer.library import TransformLibrary
from tests.examples import ROOT

FORMS = "transforms/google_forms_to_questionnaire_response/1.0.0"
RAW = "schemas/iglu/raw/google_forms_response/jsonschema/1-0-0"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    for folder in ("schemas/iglu", FORMS):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def told(content: Path, built_in: Path | None = None) -> list[str]:
    return [str(problem) for problem in TransformLibrary(content, built_in=built_in).problems()]


def test_what_is_shipped_has_no_mistakes() -> None:
    assert told(ROOT) == []


def test_project_may_use_the_built_in_schemas(content: Path) -> None:
    shutil.rmtree(content / "schemas")
    assert told(content, ROOT) == []
    assert "there is no schema iglu:raw/google_forms_response/jsonschema/1-0-0" in told(content)[0]


def changed(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(content: Path) -> None:
        file = content / name
        file.write_text(change(file.read_text()))

    return apply


def removed(name: str) -> Callable[[Path], None]:
    return lambda content: (content / name).unlink()


@pytest.mark.parametrize(
    ("break_it", "where", "what"),
    [
        (changed(RAW, lambda text: text.replace('"object"', '"thing"', 1)), RAW, "is no JSON Schema that can be used"),
        (changed(RAW, lambda text: "{"), RAW, "is not JSON"),
        (changed(RAW, lambda text: text.replace('"1-0-0"', '"1-0-1"')), RAW, "'self' says another"),
        (
            changed(f"{FORMS}/transform.jsonata", lambda text: text + " "),
            f"{FORMS}/metadata.json",
            "has not the checksum",
        ),
        (removed(f"{FORMS}/transform.jsonata"), f"{FORMS}/metadata.json", "a file is missing (FileNotFoundError)"),
        (
            changed(f"{FORMS}/examples/one_answer.out.json", lambda text: text.replace("Not at all", "Often")),
            f"{FORMS}/examples/one_answer.out.json",
            "is not what the transform gives, at '/answers/0/values/0'",
        ),
        (
            changed(f"{FORMS}/examples/one_answer.in.json", lambda text: text.replace('"responseId"', '"id"')),
            f"{FORMS}/examples/one_answer.in.json",
            "fails by required of iglu:raw/google_forms_response/jsonschema/1-0-0 at /responseId",
        ),
        (removed(f"{FORMS}/examples/one_answer.out.json"), f"{FORMS}/examples/one_answer.in.json", "is no example"),
    ],
)
def test_mistake_is_told_with_its_file(content: Path, break_it: Callable[[Path], None], where: str, what: str) -> None:
    break_it(content)
    [problem] = told(content)
    assert problem.startswith(f"{where}:1:1: ")
    assert what in problem


def test_several_results_are_a_list_in_an_example(content: Path) -> None:
    folder = content / FORMS
    source = b"$each(answers, function($one) {$one.questionId})"
    (folder / "transform.jsonata").write_bytes(source)
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["sha256"] = hashlib.sha256(source).hexdigest()
    metadata["schema_out"] = "iglu:clinic/any/jsonschema/1-0-0"
    (folder / "metadata.json").write_text(json.dumps(metadata))
    schema = content / "schemas/iglu/clinic/any/jsonschema/1-0-0"
    schema.parent.mkdir(parents=True)
    schema.write_text('{"self": {"vendor": "clinic", "name": "any", "version": "1-0-0"}}')
    shutil.rmtree(folder / "examples")
    (folder / "examples").mkdir()
    for name, questions, result in (("two", "ab", ["a", "b"]), ("none", "", None)):
        answers = {one: {"questionId": one} for one in questions}
        time = "2026-03-01T10:00:00Z"
        payload = {"responseId": "r", "createTime": time, "lastSubmittedTime": time, "answers": answers}
        (folder / f"examples/{name}.in.json").write_text(json.dumps({"row": {}, "payload": payload}))
        (folder / f"examples/{name}.out.json").write_text(json.dumps(result))
    assert told(content) == []
    (folder / "examples/two.out.json").write_text('"a"')
    assert "is not what the transform gives, at ''" in told(content)[0]
