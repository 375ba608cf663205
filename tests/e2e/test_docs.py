"""The documentation says what is so: every block of every page is carried out, and everything there is is told of."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import lorchestra
from lorchestra import errors, json_schemas
from lorchestra.api import read_envelope
from lorchestra.callable.built_in import BUILT_IN
from lorchestra.cli import exit_codes
from lorchestra.cli.main import app
from lorchestra.compiler.outputs import SHAPES
from lorchestra.errors import EnvelopeError
from lorchestra.plan.spec import ALIASES, METHODS
from lorchestra.schemas import Concurrency, Op, RunStatus
from lorchestra.schemas.job_def import IdempotencyScope
from lorchestra.storacle.error_codes import MEANINGS, ErrorCode

from . import pages
from .pages import ROOT, Page
from .scratch_project import ScratchProject

PAGES = pages.all_pages()
FOLLOWED = [page for page in PAGES if str(page) != "docs/callables.md"]  # which has a test, and a package, of its own


def spans(text: str) -> set[str]:
    """What stands in a text as code."""
    return set(re.findall(r"`([^`]+)`", text))


def table(page: str, heading: str) -> dict[str, tuple[str, ...]]:
    """The rows of the first table below a heading, by the code in their first cell."""
    found = {}
    for key, *cells in pages.rows_of(pages.page(page).section(heading)):
        for name in re.findall(r"`([^`]+)`", key) or [key]:
            found[name] = tuple(cells)
    return found


# The blocks


@pytest.mark.parametrize("page", FOLLOWED, ids=str)
def test_what_a_page_shows_is_what_happens(page: Page, tmp_path: Path) -> None:
    project = ScratchProject(tmp_path)

    for block in page.blocks:
        project.carry_out(block)
    project.finish()


def test_there_is_something_to_follow() -> None:
    languages = [block.language for block in pages.all_blocks()]

    assert languages.count("console") >= 10
    assert languages.count("python") >= 10
    assert languages.count("yaml") >= 10


def test_commands_of_make_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z]+)", page.text, re.MULTILINE)}

    assert {"demo", "test"} <= shown <= targets


def test_what_the_demo_says_to_try_next_can_be_tried(tmp_path: Path) -> None:
    project = ScratchProject(tmp_path)
    assert project.run("lorchestra demo --scale 0.02") == 0, project.output
    to_try = re.findall(r"^  (?:cd (\S+) && )?(lorchestra .*?)(?:  .*)?$", project.output, re.MULTILINE)

    again = {command for folder, command in to_try if not folder}
    inside = ScratchProject(tmp_path / "lorchestra-demo")
    assert again == {"lorchestra demo --scale 0.02", "lorchestra demo --scale 0.02 --day 2"}
    assert len(to_try) > len(again)
    for folder, command in to_try:
        if folder:
            assert tmp_path / folder == inside.folder
            assert inside.run(command) == 0, inside.output


# Commands, options and exit codes


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield " ".join(path), command
        return
    for name in command.list_commands(None):
        yield from commands(command.get_command(None, name), (*path, name))


def options_of(command: Any) -> set[str]:
    return {name for param in command.params for name in param.opts if name.startswith("-")}


ROOT_COMMAND: Any = typer.main.get_command(app)
COMMANDS = {"lorchestra": ROOT_COMMAND, **dict(commands(ROOT_COMMAND, ("lorchestra",)))}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options_and_no_others(name: str) -> None:
    section = pages.page("docs/commands.md").section(name)

    told = {option for span in spans(section) for option in re.findall(r"^(--?[a-z-]+)(?![\w.])", span)}

    known = options_of(COMMANDS[name])
    assert known <= told
    # The text of a section may also speak of options in passing: those of another command.
    assert told <= known | options_of(COMMANDS["lorchestra exec compile"])


def test_no_command_is_documented_that_does_not_exist() -> None:
    told = set(re.findall(r"^## (lorchestra.*)$", pages.page("docs/commands.md").text, re.MULTILINE))

    assert told == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_spoken_of_in_passing_exist(page: Page) -> None:
    known = {*COMMANDS, *(name.rpartition(" ")[0] for name in COMMANDS)}
    for span in spans(page.prose):
        words = re.match(r"lorchestra(?: [a-z|]+)*", span)
        if words is None or span.startswith("lorchestra failed"):
            continue
        *before, last = words[0].split()
        for name in last.split("|"):
            spoken = " ".join((*before, name))
            assert any(spoken == one or spoken.startswith(f"{one} ") for one in known), f"{page}: `{span}`"


def test_commands_of_scripts_and_units_exist() -> None:
    shown = [
        (block, *line)
        for block in pages.all_blocks()
        if block.language in ("sh", "ini")
        for line in re.findall(r"(?:^|/)lorchestra((?: [a-z]+)+)(.*)$", block.text, re.MULTILINE)
    ]

    assert len(shown) > 5
    for block, words, rest in shown:
        spoken = f"lorchestra{words}"
        name = next((one for one in sorted(COMMANDS, reverse=True) if f"{spoken} ".startswith(f"{one} ")), "lorchestra")
        assert name != "lorchestra", f"{block}: {spoken}"
        known = options_of(COMMANDS[name]) | options_of(ROOT_COMMAND)
        assert set(re.findall(r"--[a-z-]+", rest.partition("|")[0])) <= known, f"{block}: {spoken}{rest}"


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}

    assert set(table("docs/runs.md", "Exit codes")) == {str(code) for code in codes}


def test_every_event_of_a_run_is_documented() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "lorchestra").rglob("*.py")))
    events = set(re.findall(r'\.emit\(\s*"([a-z_.]+)"', source))

    assert len(events) > 5
    assert set(table("docs/runs.md", "Watching")) == events


def test_every_status_is_documented_with_its_exit_code() -> None:
    told = table("docs/runs.md", "What a status means")

    assert set(told) == {status.value for status in RunStatus}
    for status, (_, code) in told.items():
        assert not code or code.startswith(str(exit_codes.BY_STATUS[status]))


# Keys of files


def properties(kind: str, part: str | None) -> dict[str, Any]:
    schema = json_schemas.json_schema(kind)
    section = schema if part is None else schema["$defs"][part]
    required = section.get("required", [])
    return {name: "required" if name in required else field for name, field in section["properties"].items()}


@pytest.mark.parametrize(
    ("page", "heading", "kind", "part"),
    [
        ("docs/job-spec-reference.md", "Job", "job", None),
        ("docs/job-spec-reference.md", "Step", "job", "StepDef"),
        ("docs/job-spec-reference.md", "Retry", "job", "RetryPolicy"),
        ("docs/job-spec-reference.md", "Idempotency", "job", "IdempotencyConfig"),
        ("docs/job-spec-reference.md", "Pipeline", "pipeline", None),
        ("docs/job-spec-reference.md", "Stage", "pipeline", "StageDef"),
        ("docs/settings.md", "Keys", "settings", None),
        ("docs/settings.md", "run_store", "settings", "RunStoreSettings"),
        ("docs/settings.md", "storacle", "settings", "StoracleSettings"),
        ("docs/settings.md", "sheets", "settings", "SheetsSettings"),
        ("docs/settings.md", "bigquery", "settings", "BigQuerySettings"),
        ("docs/settings.md", "llm", "settings", "LlmSection"),
        ("docs/settings.md", "gmail", "settings", "GmailSettings"),
        ("docs/settings.md", "google_forms", "settings", "GoogleFormsSettings"),
        ("docs/settings.md", "file", "settings", "FileSettings"),
        ("docs/settings.md", "service_account", "settings", "ServiceAccountSettings"),
        ("docs/settings.md", "refresh_token", "settings", "RefreshTokenSettings"),
        ("docs/settings.md", "log", "settings", "LogSettings"),
    ],
)
def test_every_key_of_a_file_is_documented_with_its_default(page: str, heading: str, kind: str, part: str) -> None:
    told = table(page, heading)
    known = properties(kind, part)

    assert set(told) == set(known)
    for name, (typed, default, meaning) in told.items():
        field = known[name]
        assert typed, f"{name} has no type"
        assert meaning, f"{name} has no meaning"
        if field == "required":
            assert default == "required", name
        elif default != "all defaults":
            assert json.loads(default.strip("`")) == field.get("default", {}), name
        if isinstance(field, dict) and "$ref" in field:
            values = json_schemas.json_schema(kind)["$defs"][field["$ref"].rpartition("/")[2]].get("enum", [])
            assert spans(typed) >= set(values), name


def test_every_op_is_documented_with_its_params_and_outputs() -> None:
    told = table("docs/job-spec-reference.md", "Params by op")

    assert set(told) == {op.value for op in Op} == set(table("docs/jobs.md", "Steps and ops"))
    for op, shape in SHAPES.items():
        params, needs, outputs = (spans(cell) for cell in told[op.value])
        assert params == set(shape.params or {"callable", "items", "read"})
        assert needs == set().union(*shape.required)
        assert outputs == set(shape.outputs)


def test_every_param_and_method_of_a_plan_is_documented() -> None:
    assert set(table("docs/plans.md", "Params")) == set(SHAPES[Op.PLAN_BUILD].params or ())
    assert set(table("docs/plans.md", "Methods")) == METHODS
    assert spans(pages.page("docs/plans.md").section("Methods")) >= ALIASES.keys()


def test_every_value_of_a_choice_is_documented() -> None:
    assert list(table("docs/jobs.md", "Two runs of the same job")) == ["queue", "skip", "fail", "allow"]
    assert {one.value for one in Concurrency} == {"queue", "skip", "fail", "allow"}
    assert set(table("docs/jobs.md", "The same work twice")) == {scope.value for scope in IdempotencyScope}


# The protocol and the errors


def test_every_error_code_of_storacle_is_documented_as_the_table_has_it() -> None:
    told = list(pages.rows_of(pages.page("docs/storacle.md").section("Error codes")))

    assert told == [
        (str(int(code)), f"`{code.name.lower()}`", MEANINGS[code].error.__name__, MEANINGS[code].sentence)
        for code in ErrorCode
    ]


def test_the_symptoms_in_troubleshooting_are_words_that_lorchestra_says() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "lorchestra").rglob("*.py")))
    # What stands in braces differs from time to time; the page has dots there.
    said = re.sub(r"\{[^{}\n]*\}", "...", re.sub(r'"\s*\n\s*f?"', "", source))
    symptoms = [row[0] for row in pages.rows_of(pages.page("docs/troubleshooting.md").text)]

    quoted = [part.strip() for symptom in symptoms for span in spans(symptom) for part in re.split(r"\.\.\.|'", span)]

    missing = [part for part in quoted if len(part) > 3 and part not in said]
    assert len(symptoms) > 20
    assert not missing


def test_every_key_of_an_envelope_is_documented() -> None:
    told = set(table("docs/embedding.md", "The envelope"))

    with pytest.raises(EnvelopeError) as refused:
        read_envelope({"job_id": "x", "no_such_key": 1})

    (problem,) = refused.value.problems
    assert problem.expected == f"expected one of {', '.join(sorted(told, key=problem.expected.index))}"
    assert len(told) == problem.expected.count(",") + 1


# Names


MODULES = re.findall(r"^## (lorchestra[\w.]*)$", pages.page("docs/python-api.md").text, re.MULTILINE)


@pytest.mark.parametrize("name", MODULES)
def test_the_public_names_of_a_module_are_documented_and_exist(name: str) -> None:
    module = importlib.import_module(name)
    section = pages.page("docs/python-api.md").section(name)
    told = {span for row in pages.rows_of(section) for cell in row for span in spans(cell) if span.isidentifier()}

    assert set(getattr(module, "__all__", ())) <= told
    # Beside the names of the module, a row may speak of words and values.
    named = {span for row in pages.rows_of(section) for span in spans(row[0])}
    assert not [one for one in named if not hasattr(module, one)]


def test_every_error_is_documented() -> None:
    known = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}

    assert spans(pages.page("docs/python-api.md").section("lorchestra.errors")) >= known


def test_every_module_with_public_names_is_documented() -> None:
    # What has a name on the command line or in YAML is reached by that.
    inner = {"lorchestra.cli", "lorchestra.demo", "lorchestra.ops", "lorchestra.run_store.sqlite"}
    inner |= {path.partition(":")[0] for path in BUILT_IN.values()}
    named = {"lorchestra"} | {
        "lorchestra." + ".".join(path.relative_to(ROOT / "lorchestra").parts[:-1])
        for path in (ROOT / "lorchestra").rglob("*/__init__.py")
        if "__all__" in path.read_text()
    }

    public = {name for name in named if not any(f"{name}.".startswith(f"{one}.") for one in inner)}

    assert len(public) > 5
    assert public <= set(MODULES)


def test_the_names_that_lorchestra_exports_are_exactly_these() -> None:
    assert sorted(lorchestra.__all__) == [
        "ExecutionResult",
        "PipelineResult",
        "__version__",
        "compile",
        "execute",
        "load_pipeline",
        "run_pipeline",
    ]
    assert all(hasattr(lorchestra, name) for name in lorchestra.__all__)
    with pytest.raises(AttributeError):
        _ = lorchestra.no_such_name


def test_the_modules_that_the_architecture_names_exist() -> None:
    rows = list(pages.rows_of(pages.page("ARCHITECTURE.md").section("The rooms")))
    named = [name for row in rows for name in spans(row[1])]
    packages = {path.parent.name for path in (ROOT / "lorchestra").glob("*/__init__.py")}

    assert len(rows) > 8
    assert packages <= set(named)
    assert not [name for name in named if not list((ROOT / "lorchestra").glob(f"{name}*"))]


# The pages


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), f"{page}: {link}"
        assert target.is_relative_to(ROOT), f"{page}: {link}"
        if anchor:
            assert anchor in pages.read(target).anchors, f"{page}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path.suffix != ".md" or path in reached:
            continue
        reached.add(path)
        files = (link.partition("#")[0] for link in pages.read(path).links if "://" not in link)
        waiting += [(path.parent / file).resolve() for file in files if file]

    assert {page.path for page in PAGES} <= reached


def test_every_decision_says_its_context_its_choice_and_its_cost() -> None:
    decisions = [page for page in PAGES if page.path.parent.name == "decisions" and page.path.name != "README.md"]

    assert len(decisions) >= 8
    for page in decisions:
        order = [page.text.find(word) for word in ("**Context.**", "**Choice.**", "**What it costs.**")]
        assert -1 not in order, page
        assert order == sorted(order), page


def test_every_yaml_file_that_is_shipped_names_its_schema() -> None:
    folders = ("docs", "jobs", "pipelines")
    shipped = [path for folder in folders for path in (ROOT / folder).rglob("*.y*ml")]

    assert shipped
    for path in shipped:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert named, path
        schema = (path.parent / named[1]).resolve()
        assert schema.is_relative_to(ROOT / "schemas"), path
        assert schema.is_file(), path


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changelog = re.findall(r"^## (\d\S*)$", pages.page("CHANGELOG.md").text, re.MULTILINE)

    assert project["version"] == lorchestra.__version__ == changelog[0]


def test_no_page_speaks_of_a_place_of_one_machine() -> None:
    wrong = [
        f"{page}: {found}" for page in PAGES for found in re.findall(r"(?:/root/|/Users/|#\d+\b|TODO)[\w/]*", page.text)
    ]

    assert not wrong
