"""Whatever is wrong with what a user gives: one message that says where, the right exit code, and no run."""

from __future__ import annotations

import sqlite3

import pytest

from tests.e2e.cli import Finished, Project

_CANARY = "canary-7f3a"

_LAUGHS = "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]\n" if below else f"{name}: &{name} [{', '.join('x' * 9)}]\n"
    for below, name in zip(" abcdefgh", "abcdefghi", strict=True)
    for below in [below.strip()]
)

# What a definition file holds, and where and what is found.
_FILES: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"\x80\x00\xff" * 99, ":1:1: found the byte 0x80, which is not UTF-8"),
    "nul": ("job_id: nul\0\n", ":1:12: found the character U+0000"),
    "other_encoding": ("job_id: other_encoding\ndescription: Z\xfcrich\n".encode("latin-1"), ":2:15: "),
    "huge": ("a" * 3_000_000, ":1:1: the file is too large"),
    "laughs": (_LAUGHS, ":6:8: found more than 100000 values, aliases counted in full"),
    "deep": ("a: " + "[" * 5_000 + "]" * 5_000, ":1:67: found more than 64 levels of nesting"),
    "tagged": ("a: !!python/object/apply:os.system [ls]\n", ":1:4: found the tag"),
    "empty": ("", ":1:1: the file is empty"),
    "torn": ("job_id: [torn\n", ":2:1: "),
    "twice": ("job_id: twice\njob_id: twice\n", ":2:1: "),
    "a_list": ("- a\n- b\n", ":1:1: "),
    "misnamed": ("job_id: another\nversion: '2.0'\nsteps: []\n", ":1:9: found the job_id 'another'"),
    "future": ("job_id: future\nversion: '3.0'\nsteps: []\n", ":2:10: "),
}

_CALLABLES = {
    "torn": ("def execute(params:\n", "SyntaxError at "),
    "needy": (f"import {_CANARY.replace('-', '_')}\n", "ModuleNotFoundError at "),
    "raising": (f"raise ValueError('{_CANARY}')\n", "ValueError at "),
    "leaving": (f"raise SystemExit('{_CANARY}')\n", "SystemExit at "),
    "idle": ("x = 1\n", "has no `execute`"),
    "slow": ("async def execute(params): ...\n", "is an async function"),
    "greedy": ("def execute(a, b, c): ...\n", "takes other parameters"),
}


def require_refused(project: Project, done: Finished, code: int) -> Finished:
    """One message on standard error, the exit code, nothing printed, nothing recorded, nothing of a value told."""
    done.require(code)
    assert done.err.startswith("error: ")
    assert done.out == ""
    assert _CANARY not in done.err
    assert not project.has_store()
    return done


@pytest.mark.parametrize("job_id", _FILES)
def test_a_wrong_file_is_refused_at_its_place(project: Project, job_id: str) -> None:
    content, found = _FILES[job_id]
    path = f"jobs/definitions/{job_id}.yaml"
    project.write(path, content)
    refused = require_refused(project, project.inside("run", job_id), 65)
    assert f"{project.root}/{path}{found}" in refused.err


def test_a_wrong_file_shows_no_traceback_and_makes_no_store(project: Project) -> None:
    project.write("jobs/definitions/wrong.yaml", "job_id: wrong\nversion: '2.0'\nsteps:\n- {step_id: a, op: cal}\n")
    refused = require_refused(project, project("exec", "job", "wrong"), 65)
    assert refused.err == (
        f"error: {project.root}/jobs/definitions/wrong.yaml:4:20: found the text 'cal'; expected one of 'call', "
        "'plan.build', 'storacle.submit', 'compute.llm', 'job.run'; did you mean 'call'?\n"
    )


def test_all_mistakes_of_a_file_are_told_at_once(project: Project) -> None:
    project.write("jobs/definitions/wrong.yaml", "job_id: wrong\nversion: 2.0\nsteps:\n- {step_id: A, op: cal}\n")
    refused = require_refused(project, project.inside("run", "wrong"), 65)
    first, *rest = refused.err.splitlines()
    assert first == "error: 3 mistakes"
    assert [line.partition(": ")[0].rpartition("wrong.yaml")[2] for line in rest] == [":2:10", ":4:13", ":4:20"]


def test_a_file_that_is_gone_or_a_folder_is_no_definition(project: Project) -> None:
    (project.root / "jobs/definitions/folder.yaml").mkdir()
    (project.root / "jobs/definitions/dangling.yaml").symlink_to("nowhere.yaml")
    assert "no definition of 'folder'" in require_refused(project, project.inside("run", "folder"), 65).err
    assert "there is no such file" in require_refused(project, project.inside("run", "dangling"), 65).err


def test_a_file_whose_name_is_no_id_says_how_to_name_it(project: Project) -> None:
    project.write("jobs/definitions/My Job.yaml", "job_id: my_job\n")
    refused = require_refused(project, project.inside("run", "My Job"), 65)
    assert "did you mean 'my_job.yaml'?" in refused.err


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("run", "peopel"), "did you mean 'people'?"),
        (("run", "../people"), "no definition of '../people'"),
        (("run", ""), "'job_id' is not valid"),
        (("run", "people", "--version", "2.7"), "no definition of 'people@2.7'"),
        (("run", "people", "--version", "latest"), "no definition of 'people@latest'"),
        (("exec", "compile", "peopel"), "did you mean 'people'?"),
        (("jobs", "show", "peopel"), "did you mean 'people'?"),
        (("run", "people", "--definitions-dir", "nowhere"), "there is no folder 'nowhere'"),
        (("run", "people"), "people.yaml:8:37: '@payload.count' does not exist"),
        (("run", "people", "--payload", "cuont=1"), "'@payload.count' does not exist"),
        (("run", "people", "--payload", f'{{"{_CANARY}'), "the value is not JSON"),
        (("run", "people", "--payload", f'["{_CANARY}"]'), "expected '{"),
        (("run", "people", "--payload", "@nowhere.json"), "the file nowhere.json cannot be read"),
        (("run", "people", "--payload", "@latin.json"), "the file latin.json is not UTF-8 text"),
        (("run", "people", "--payload", '{"count": NaN}'), "it holds NaN"),
        (("run", "people", "--payload", '{"count": 1e999}'), "it holds a number that is too large"),
        (("run", "people", "--payload", '{"a":' * 9_000), "nested too deeply"),
        (("run", "people", "--payload", '{"a":' * 900 + "1" + "}" * 900), "nests too deeply"),
        (("run", "people", "--payload", '{"a":' * 300 + "1" + "}" * 300), "nests deeper than 100 levels"),
        (("run", "people", "--ctx", "[]"), "--ctx: "),
        (("run", "people", "--payload", "count=1", "--smoke-namespace", _CANARY), "1 to 20 small letters and digits"),
        (("run", "people", "--payload", "count=1", "--smoke-namespace", ""), "1 to 20 small letters and digits"),
        (("runs", "show", "01ABC"), "no run has the id '01ABC'"),
        (("runs", "resume", "01ABC"), "no run has the id '01ABC'"),
    ],
)
def test_a_wrong_id_version_or_payload_is_refused(people: Project, arguments: tuple[str, ...], found: str) -> None:
    people.write("latin.json", b'{"name": "\xfc"}')
    assert found in require_refused(people, people.inside(*arguments), 65).err


def test_a_missing_value_says_how_values_are_given(people: Project) -> None:
    refused = require_refused(people, people("run", "people"), 65)
    assert refused.err.endswith("values are given with --payload and --ctx, such as --payload name=Ada\n")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("jbos",), "no such command 'jbos'; did you mean 'jobs'?"),
        (("jobs", "lits"), "did you mean 'list'?"),
        (("jobs", "list", "--jsn"), "--jsn"),
        (("run",), "JOB_ID"),
        (("run", "people", "--payload"), "--payload"),
        (("run", "people", "--payload", "{count:", _CANARY, "1}"), "extra argument"),
        (("jobs", "list", "--profile"), "--profile"),
        (("jobs", "list", "--profile", ""), "it is empty"),
        (("jobs", "list", "--definitions-dir", ""), "it is empty"),
        (("--log-format", "xml", "jobs", "list"), "'console', 'json'"),
        (("schema", "nonsense"), "'job', 'pipeline', 'settings'"),
        (("exec", "compile", "people", "--format", "xml"), "'yaml', 'json'"),
        (("runs", "list", "--status", "faild"), "did you mean 'failed'?"),
        (("runs", "list", "--limit", "0"), "--limit"),
        (("runs", "list", "--limit", "many"), "--limit"),
        (("runs", "prune", "--keep", "nonsense"), "such as '90d' or '12h'"),
        (("runs", "prune", "--keep", "-7d"), "such as '90d' or '12h'"),
        (("run", "people", "--dry-run", "--resume"), "--resume"),
        (("run", "people", "--accept-changes"), "--resume"),
    ],
)
def test_a_wrong_command_line_is_refused_with_its_usage(
    people: Project, arguments: tuple[str, ...], found: str
) -> None:
    refused = require_refused(people, people.inside(*arguments), 64)
    assert " ".join(found.split()) in refused.err


def test_a_wrong_command_line_ends_a_process_with_64(people: Project) -> None:
    refused = require_refused(people, people("jobs", "lits"), 64)
    assert refused.err == (
        "error: no such command 'lits'; did you mean 'list'?\n"
        "usage: lorchestra jobs [OPTIONS] COMMAND [ARGS]...; more with `lorchestra jobs --help`\n"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("run_stor: {}\n", "lorchestra.yaml:1:1: unknown key 'run_stor'"),
        (f"run_store: {{kind: {_CANARY}}}\n", "lorchestra.yaml:1:19: "),
        (f"run_store: {_CANARY}\n", "lorchestra.yaml:1:12: "),
        ("log: {level: [\n", "lorchestra.yaml:2:1: "),
        (f"llm: {{base_url: 'https://h/v1', api_key: {_CANARY}}}\n", "expected `env:NAME` or `file:/path`"),
        ("profile: nowhere\n", "no profile 'nowhere'"),
        ("run_store: {heartbeat_s: 5, stale_after_s: 1}\n", "stale_after_s"),
    ],
)
def test_wrong_settings_are_refused_at_their_place(people: Project, text: str, found: str) -> None:
    people.settings(text)
    for arguments in (("run", "people", "--payload", "count=1"), ("jobs", "list"), ("runs", "list")):
        assert found in require_refused(people, people.inside(*arguments), 78).err


def test_an_inline_secret_is_refused_by_a_process_that_does_not_repeat_it(people: Project) -> None:
    people.settings(f"llm:\n  base_url: https://h/v1\n  api_key: {_CANARY}\n")
    refused = require_refused(people, people("run", "people", "--payload", "count=1", "--debug", "--show-values"), 78)
    assert "lorchestra.yaml:3:12: found a plain value; expected `env:NAME` or `file:/path`" in refused.err


def test_an_unknown_profile_names_the_known_ones(people: Project) -> None:
    people.settings("profiles: {local: {}, prod: {}}\n")
    refused = require_refused(people, people.inside("jobs", "list", "--profile", "prd"), 78)
    assert "known: local, prod; did you mean 'prod'?" in refused.err


@pytest.mark.parametrize(
    ("llm", "found"),
    [
        ("", "add an `llm:` section"),
        ("llm: {base_url: 'https://h/v1', model: m, api_key: 'env:NOT_SET'}\n", "`env:NOT_SET` cannot be used"),
        ("llm: {base_url: 'https://h/v1', model: m, api_key: 'file:none.key'}\n", "none.key` cannot be used"),
    ],
)
def test_a_step_whose_service_or_secret_is_missing_starts_no_run(people: Project, llm: str, found: str) -> None:
    people.settings(f"# settings\n{llm}").job("asks", "- {step_id: ask, op: compute.llm, params: {prompt: hello}}\n")
    refused = people.inside("run", "asks").require(78)
    assert found in refused.err
    assert people.runs() == ()


@pytest.mark.parametrize("name", _CALLABLES)
def test_a_broken_callable_is_refused_where_it_is_named(project: Project, name: str) -> None:
    code, found = _CALLABLES[name]
    project.callable(name, code).job("calls", f"- step_id: only\n  op: call\n  params: {{callable: {name}}}\n")
    for more in ((), ("--dry-run",)):
        refused = require_refused(project, project.inside("run", "calls", *more), 65)
        assert f"calls.yaml:6:22: callable '{name}' " in refused.err
        assert found in refused.err


def test_an_unknown_callable_is_refused_where_it_is_named(people: Project) -> None:
    people.job("calls", "- step_id: only\n  op: call\n  params: {callable: poeple}\n")
    refused = require_refused(people, people("run", "calls"), 65)
    assert "calls.yaml:6:22: no callable is named 'poeple'; known: " in refused.err
    assert refused.err.endswith("; did you mean 'people'?\n")


def test_a_job_that_names_an_unknown_job_is_refused_where_it_names_it(people: Project) -> None:
    people.job("starts", "- step_id: only\n  op: job.run\n  params: {job_id: peopel}\n")
    refused = require_refused(people, people.inside("run", "starts"), 65)
    assert "starts.yaml:6:20: no definition of 'peopel'" in refused.err


def test_debug_shows_places_and_no_values(people: Project) -> None:
    refused = require_refused(people, people("run", "people", "--payload", f"cuont={_CANARY}", "--debug"), 65)
    assert "lorchestra.errors.CompileError, raised at\n" in refused.err
    assert "  lorchestra/workspace.py:" in refused.err


@pytest.mark.parametrize("command", [("runs", "list"), ("run", "people", "--payload", "count=1")])
def test_a_file_in_the_place_of_the_store_is_named(people: Project, command: tuple[str, ...]) -> None:
    people.write(".lorchestra", "a file")
    refused = people.inside(*command).require(2)
    assert f"{people.root}/.lorchestra: a file stands where a folder is expected" in refused.err
    assert (people.root / ".lorchestra").read_text() == "a file"


def test_a_corrupt_store_is_left_as_it_is(people: Project) -> None:
    people.write(".lorchestra/runs.db", b"no database " * 100)
    refused = people("run", "people", "--payload", "count=1").require(2)
    assert "runs.db" in refused.err
    assert "move it away, or restore it from a backup" in refused.err
    assert (people.root / ".lorchestra/runs.db").read_bytes() == b"no database " * 100


def test_a_store_of_a_newer_version_is_left_as_it_is(people: Project) -> None:
    people.inside("run", "people", "--payload", "count=1").require(0)
    path = people.root / ".lorchestra" / "runs.db"
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO schema_version VALUES (999, '2999-01-01')")
    connection.commit()
    connection.close()
    refused = people.inside("runs", "list").require(2)
    assert "runs.db" in refused.err
    assert "newer" in refused.err
