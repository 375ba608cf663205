"""The files of measures and bindings: the shipped ones are sound, and a mistake is told with its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from lorchestra.callable import dispatch_callable, step_params
from lorchestra.callable.direct import direct_context
from lorchestra.callable.finalform import files
from lorchestra.callable.finalform.binding import Binding
from lorchestra.callable.finalform.library import MeasureLibrary
from lorchestra.callable.finalform.measure_checks import is_loinc, problems_of_binding
from lorchestra.callable.finalform.params import Ref, ScoreParams
from lorchestra.errors import ConfigurationError, DefinitionError, JobValidationError
from tests.forms import BINDINGS, INSTRUMENTS, ROOT, as_json, mood, read, shipped, shipped_binding

MEASURE_FILES = sorted(INSTRUMENTS.rglob("*.json"))
BINDING_FILES = sorted(BINDINGS.rglob("*.json"))


def ref_of(path: Path) -> Ref:
    return Ref(path.parent.name, path.stem)


# The shipped ones


def test_there_are_measures_and_bindings() -> None:
    assert {path.parent.name for path in MEASURE_FILES} >= {"phq9", "gad7", "pss_10"}
    assert {path.parent.name for path in BINDING_FILES} >= {"intake_01", "followup", "intake_v1"}


@pytest.mark.parametrize("path", MEASURE_FILES + BINDING_FILES, ids=lambda path: f"{path.parent.name}")
def test_shipped_file_is_valid_by_its_schema(path: Path) -> None:
    file = json.loads(path.read_bytes())
    schema = json.loads((path.parent / file["$schema"]).read_bytes())
    assert [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(file)] == []


@pytest.mark.parametrize("path", MEASURE_FILES, ids=lambda path: f"{path.parent.name}")
def test_shipped_measure_is_sound_and_stands_where_its_name_says(path: Path) -> None:
    measure = files.read_measure(path.read_bytes(), file=str(path), ref=ref_of(path))
    assert all(source.citation for source in measure.sources)


@pytest.mark.parametrize("path", BINDING_FILES, ids=lambda path: f"{path.parent.name}")
def test_shipped_binding_binds_shipped_measures(path: Path) -> None:
    binding = files.read_binding(path.read_bytes(), {}, file=str(path), ref=ref_of(path))
    measures = {bound.measure: shipped(*bound.measure.split("@")) for bound in binding.measures}
    assert list(problems_of_binding(binding, measures)) == []


@pytest.mark.parametrize("binding_id", ["intake_01", "followup", "intake_v1"])
def test_question_ids_are_those_of_the_demo_clinics_forms(binding_id: str) -> None:
    for bound in shipped_binding(binding_id).measures:
        form = f"{binding_id}:{bound.measure.partition('@')[0]}"
        assert bound.items == {item: hashlib.sha256(f"{form}:{item}".encode()).hexdigest()[:8] for item in bound.items}


@pytest.mark.parametrize(
    ("measure", "panel", "total", "items"),
    [
        (
            "phq9",
            "44249-1",
            "44261-6",
            "44250-9 44255-8 44259-0 44254-1 44251-7 44258-2 44252-5 44253-3 44260-8 69722-7",
        ),
        ("gad7", "69737-5", "70274-6", "69725-0 68509-9 69733-4 69734-2 69735-9 69689-8 69736-7"),
    ],
)
def test_codes_of_loinc(measure: str, panel: str, total: str, items: str) -> None:
    found = shipped(measure)
    assert (found.loinc, found.scales[0].loinc) == (panel, total)
    assert [item.loinc for item in found.items if item.loinc] == items.split()
    answers = [answer.loinc for answer in found.answers["frequency"]]
    assert answers == ["LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9"]


# Mistakes


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    file = mood()
    change(file)
    return file


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m.pop("title"), "the key 'title' is missing; expected `title:` with text"),
        (lambda m: m["scales"][0].update(revrsed=[]), "unknown key 'revrsed'"),
        (lambda m: m["scales"][0].update(missing_at_most="1"), "expected a whole number; write it without quotes"),
        (lambda m: m["scales"][0].update(items=["a", "b", "cc"]), "'cc' names no item; expected one of a, b, c"),
        (lambda m: m["scales"][0].update(reversed=["d"]), "'d' names no item of the scale"),
        (lambda m: m["scales"][0].update(items=["a", "a", "c"]), "the item is there twice"),
        (lambda m: m["scales"][0].update(missing_at_most=3), "all items may be missing; expected at most 2"),
        (lambda m: m["scales"][0].update(gate={"item": "a", "at_least": 1}), "the gate is an item of the scale"),
        (lambda m: m["scales"][0].update(gate={"item": "x", "at_least": 1}), "'x' names no item"),
        (lambda m: m["scales"][0]["bands"].pop(), "the last band ends at 2; expected 6"),
        (lambda m: m["scales"][0]["bands"][1].update(min=4), "the band begins at 4; expected 3"),
        (lambda m: m["scales"][0]["bands"][1].update(min=2), "the band begins at 2; expected 3"),
        (lambda m: m["scales"][0]["bands"][0].update(min=1), "the band begins at 1; expected 0"),
        (lambda m: m["scales"][0]["bands"][1].update(max=1), "the band ends at 1; expected 3 or more"),
        (lambda m: m["scales"].append(m["scales"][0]), "'mood_total' is there twice"),
        (lambda m: m["scales"][0].update(id="mood_item_a"), "'mood_item_a' is there twice"),
        (lambda m: m["items"].append(m["items"][0]), "the item is there twice"),
        (
            lambda m: m["items"][0].update(answers="oftn"),
            "'oftn' names no set of answers; expected one of often; did you",
        ),
        (lambda m: m["items"][0].update(loinc="44250-8"), "'44250-8' is no LOINC code"),
        (lambda m: m["answers"]["often"][0].update(loinc="6568-5"), "'6568-5' is no LOINC answer code"),
        (lambda m: m["answers"]["often"][0].update(texts=["ALWAYS "]), "'always' may mean several answers"),
        (lambda m: m["answers"]["often"][0].update(texts=["2"]), "'2' may mean several answers"),
        (lambda m: m["answers"]["often"][0].update(value=1), "the value is there twice"),
        (lambda m: m.update(sources=[]), "expected 1 or more in it"),
        (
            lambda m: m.update(
                flags=[{"id": "f", "title": "F", "items": ["z"], "at_least": 1, "label": "f", "code": "f"}]
            ),
            "'z' names no item",
        ),
        (
            lambda m: (
                m["answers"].update(rare=[{"value": 0, "texts": ["no"]}, {"value": 9, "texts": ["yes"]}]),
                m["items"][0].update(answers="rare"),
            ),
            "items may be missing, and they have different ranges",
        ),
    ],
)
def test_mistake_in_a_measure_is_told_with_its_place(change: Callable[[dict[str, Any]], object], told: str) -> None:
    with pytest.raises(JobValidationError) as refused:
        read(changed(change))
    assert told in str(refused.value)
    assert str(refused.value).startswith("mood.json:")


def test_file_that_is_no_json_is_refused() -> None:
    with pytest.raises(JobValidationError, match=r"mood.json:2:1: found the end"):
        files.read_measure(b'{"measure_id": ', file="mood.json", ref=Ref("mood", "1-0-0"))


def bind(**changes: Any) -> bytes:
    items = {"a": "q1", "b": "q2", "c": "q3"}
    bound = {"measure": "mood@1-0-0", "items": items, **changes}
    return as_json({"binding_id": "desk", "version": "1-0-0", "title": "Desk", "form_id": "desk", "measures": [bound]})


def load(binding: bytes, measure: dict[str, Any]) -> Binding:
    """The two files, as a callable is given them."""
    contents = {"binding desk@1-0-0": binding, "measure mood@1-0-0": as_json(measure)}
    resources = direct_context(resources=contents).resources
    measures = files.load_measures([Ref("mood", "1-0-0")], resources)
    return files.load_binding(Ref("desk", "1-0-0"), measures, resources)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"items": {"a": "q1", "b": "q2"}},
            "item 'c' is missing; expected a question for every item that is not optional",
        ),
        ({"items": {"a": "q1", "b": "q2", "c": "q3", "d": "q4"}}, "'d' names no item; expected one of a, b, c"),
        ({"items": {"a": "q1", "b": "q2", "c": "q2"}}, "the question is bound twice"),
        ({"measure": "mood@2-0-0"}, "1-0-0.json: it does not bind 'mood@1-0-0'; it binds mood@2-0-0"),
        ({"measure": "mood"}, "expected '<id>@<version>', such as phq9@1-0-0"),
    ],
)
def test_mistake_in_a_binding_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(bind(**changes), mood())
    assert told in str(refused.value)


def test_measure_that_is_bound_twice_is_told() -> None:
    twice = json.loads(bind())
    twice["measures"].append({"measure": "mood@1-1-0", "items": {"a": "q4"}})
    with pytest.raises(ConfigurationError, match="the measure is bound twice; expected each measure once"):
        load(as_json(twice), mood())


def test_binding_may_name_a_measure_by_its_other_name() -> None:
    assert [bound.measure for bound in load(bind(measure="Mood@1-0-0"), mood()).measures] == ["mood@1-0-0"]


def test_binding_may_leave_out_an_optional_item() -> None:
    measure = mood(items=[*mood()["items"], {"id": "d", "answers": "often", "optional": True}])
    assert load(bind(), measure).name == "desk@1-0-0"


def test_file_that_calls_itself_otherwise_is_refused() -> None:
    told = "mood.json:3:14: the file calls itself 'mood@1-0-0'; expected 'mood@1-0-1', as its place says"
    with pytest.raises(JobValidationError, match=told):
        files.read_measure(as_json(mood()), file="mood.json", ref=Ref("mood", "1-0-1"))


# A project's files


def put(content: Path, path: str, value: bytes) -> None:
    (content / path).parent.mkdir(parents=True, exist_ok=True)
    (content / path).write_bytes(value)


def test_mistakes_of_all_files_of_a_project_are_told_together(tmp_path: Path) -> None:
    put(tmp_path, "measures/instruments/mood/1-0-0.json", as_json(mood()))
    put(tmp_path, "measures/instruments/mood/1-1-0.json", as_json(mood()))
    put(tmp_path, "measures/bindings/desk/1-0-0.json", bind(items={"a": "q1", "b": "q2"}))
    put(tmp_path, "measures/bindings/desk/1-0-1.json", bind())
    put(tmp_path, "measures/bindings/hall/1-0-0.json", bind(measure="phq9@1-0-0", items={"11": "q1"}))

    found = [str(problem) for problem in MeasureLibrary(tmp_path, built_in=ROOT).problems()]

    assert [one.partition(";")[0] for one in found if "hall" not in one] == [
        "measures/instruments/mood/1-1-0.json:3:14: the file calls itself 'mood@1-0-0'",
        "measures/bindings/desk/1-0-0.json:9:16: item 'c' is missing",
        "measures/bindings/desk/1-0-1.json:3:14: the file calls itself 'desk@1-0-0'",
    ]
    assert any("'11' names no item" in one for one in found)


def test_binding_to_a_measure_that_is_nowhere_is_told_the_nearest(tmp_path: Path) -> None:
    put(tmp_path, "measures/bindings/desk/1-0-0.json", bind(measure="phq8@1-0-0"))

    [problem] = MeasureLibrary(tmp_path, built_in=ROOT).problems()

    assert problem.found == "there is no measure 'phq8@1-0-0'"
    assert str(problem.location) == "measures/bindings/desk/1-0-0.json:8:18"
    assert problem.hint == "did you mean 'phq9@1-0-0'?"


def test_shipped_files_have_no_mistakes() -> None:
    assert MeasureLibrary(ROOT).problems() == ()


# Params


def test_context_without_the_files_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match="not among the resources"):
        dispatch_callable("observation_projector", {"measures": ["phq9@1-0-0"]})


@pytest.mark.parametrize("name", ["phq9@1-0-0", "phq-9@1-0-0", "PHQ-9@1-0-0", "PHQ_9@1-0-0"])
def test_measure_has_one_file_by_whatever_name(name: str) -> None:
    [path] = files.measure_resources(step_params.parse(ScoreParams, {"measures": [name]}).measure_refs).values()
    assert (ROOT / path).is_file()


@pytest.mark.parametrize(
    "measures", [None, [], "phq9@1-0-0", ["phq9"], [7], ["../x@1-0-0"], ["phq9@1-0-0", "phq-9@1-0-0"]]
)
def test_measures_that_are_no_list_of_versions_are_refused(measures: object) -> None:
    with pytest.raises(DefinitionError, match="measures"):
        step_params.parse(ScoreParams, {"measures": measures})


@pytest.mark.parametrize(
    ("code", "expected"), [("44261-6", True), ("44261-7", False), ("LA6568-5", False), ("", False)]
)
def test_code_of_loinc_is_known_by_its_check_digit(code: str, expected: bool) -> None:
    assert is_loinc(code) is expected
