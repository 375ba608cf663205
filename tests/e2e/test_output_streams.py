"""Standard output and standard error: full, closed, narrow, or unable to show a character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lorchestra
from tests.e2e.cli import DEADLINE_S, Project, clean_environment, start_and_run_cli

_MANY = 400


def test_version_and_help_go_to_the_standard_output(tmp_path: Path) -> None:
    assert start_and_run_cli("--version", cwd=tmp_path).require(0).out == f"lorchestra {lorchestra.__version__}\n"
    help_ = start_and_run_cli("--help", cwd=tmp_path).require(0)
    assert help_.err == ""
    for command in ("exec", "run", "jobs", "pipelines", "runs", "callables", "init", "schema"):
        assert f"\n  {command} " in help_.out


@pytest.mark.parametrize(
    "command",
    [
        *("exec pipeline", "pipelines", "pipelines list", "pipelines show", "init"),
        *("exec", "exec job", "exec compile", "run", "jobs", "jobs list", "jobs show", "jobs validate", "runs"),
        *("runs list", "runs show", "runs resume", "runs prune", "callables", "callables list", "schema"),
    ],
)
def test_every_command_has_help(project: Project, command: str) -> None:
    help_ = project.inside(*command.split(), "--help").require(0)
    assert help_.out.startswith(f"Usage: lorchestra {command} ")
    assert "--install-completion" not in help_.out
    assert ("Example: lorchestra " in help_.out) == ("COMMAND" not in help_.out)


@pytest.mark.parametrize("command", [(), ("exec",), ("jobs",), ("runs",), ("callables",)])
def test_a_group_without_a_command_shows_its_help_as_an_error(project: Project, command: tuple[str, ...]) -> None:
    done = project.inside(*command).require(64)
    assert done.err.startswith("Usage: lorchestra")
    assert done.out == ""


def test_help_imports_neither_pydantic_nor_rich_nor_a_database(tmp_path: Path) -> None:
    code = (
        # What was there before, such as what measures coverage, does not count.
        "import sys; before = set(sys.modules); from lorchestra.cli.main import run; run(['--help'])\n"
        "heavy = {'pydantic', 'pydantic_core', 'rich', 'yaml', 'sqlite3', 'httpx', 'structlog', 'orjson'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert done.stderr == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_error(people: Project) -> None:
    for number in range(_MANY):
        people.job(f"job_{number}", "- {step_id: only, op: call, params: {callable: people, count: 1}}\n")
    code, err = _with_output_closed_early(people, "jobs", "list", "--json")
    assert (code, err) == (0, "")


def test_the_exit_code_of_a_run_does_not_depend_on_who_reads_its_report(people: Project) -> None:
    code, err = _with_output_closed_early(people, "run", "people", "--payload", "count=-1", "-q")
    assert code == 2
    assert "error: step 'fetch' failed" in err
    assert [run.status for run in people.runs()] == ["failed"]


@pytest.mark.parametrize(("count", "code"), [(1, 2), (101, 1)])
def test_a_full_output_is_reported_and_the_run_is_not_lost(people: Project, count: int, code: int) -> None:
    with Path("/dev/full").open("wb") as full:
        done = people.started("run", "people", "--payload", f"count={count}", "-q", stdout=full.fileno()).require(code)
    assert done.err.endswith("error: not all of the output could be written: No space left on device\n")
    assert [run.status for run in people.runs()] == ["completed" if count == 1 else "partial"]


def test_help_into_a_full_output_is_reported(project: Project) -> None:
    with Path("/dev/full").open("wb") as full:
        done = project.started("--help", stdout=full.fileno()).require(2)
    assert done.err == "error: not all of the output could be written: No space left on device\n"


@pytest.mark.parametrize(("redirection", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("2>/dev/full", 2)])
def test_a_closed_or_full_stream_stops_no_command(people: Project, redirection: str, code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m lorchestra run people --payload count=1 {redirection}', sys.executable],
        cwd=people.root,
        env=clean_environment(people.root, {}),
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stdout + done.stderr
    assert [run.status for run in people.runs()] == ["completed"]


def test_an_output_that_cannot_show_a_character_spells_it_out(people: Project) -> None:
    people.job(
        "greet", "- {step_id: only, op: call, params: {callable: people, count: 1}}\n", head="description: Grüße\n"
    )
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    assert "Gr\\xfc\\xdfe" in people.started("jobs", "list", environ=ascii_only).require(0).out
    listed = people.started("jobs", "list", "--json", environ=ascii_only).require(0)
    assert listed.out.isascii()
    assert json.loads(listed.out)[0]["description"] == "Grüße"


def test_a_locale_without_unicode_is_no_reason_to_fail(people: Project) -> None:
    people.job(
        "greet", "- {step_id: only, op: call, params: {callable: people, count: 1}}\n", head="description: 日本\n"
    )
    environ = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "\\u65e5\\u672c" in people.started("jobs", "list", environ=environ).require(0).out


@pytest.mark.parametrize("columns", ["1", "0", "20", "nonsense"])
def test_a_narrow_terminal_breaks_nothing(people: Project, columns: str) -> None:
    environ = {"COLUMNS": columns, "LINES": "1"}
    assert "Makes people up." in people("jobs", "list", environ=environ).require(0).out


def test_on_a_terminal_the_last_column_is_cut_to_fit(people: Project) -> None:
    import pty

    people.job(
        "long", "- {step_id: a, op: call, params: {callable: people, count: 1}}\n", head=f"description: {'x' * 300}\n"
    )
    master, slave = pty.openpty()
    try:
        people.started("jobs", "list", environ={"COLUMNS": "60"}, stdout=slave).require(0)
        os.close(slave)
        shown = os.read(master, 65_536).decode().splitlines()
    finally:
        os.close(master)
    assert max(map(len, shown)) == 60
    assert shown[1].endswith("x…")


def test_logs_are_json_lines_when_asked_and_go_to_standard_error(people: Project) -> None:
    done = people("run", "people", "--payload", "count=1", "--json", "--log-format", "json", "-v").require(0)
    events = [json.loads(line) for line in done.err.splitlines()]
    run_id = done.json["run_id"]
    assert {event["run_id"] for event in events if "run_id" in event} == {run_id}
    assert [event["event"] for event in events][-1] == "run.ended"


def test_quiet_and_verbose_choose_what_is_logged(people: Project) -> None:
    arguments = ("run", "people", "--payload", "count=1")
    quiet, usual, verbose = (people.inside(*arguments, *more).require(0).err for more in (["-q"], [], ["-v"]))
    assert quiet == ""
    assert len(usual.splitlines()) < len(verbose.splitlines())


def _with_output_closed_early(project: Project, *arguments: str) -> tuple[int, str]:
    """The exit code and standard error of a command whose reader is gone from the start."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = project.started(*arguments, stdout=write_end)
    finally:
        os.close(write_end)
    return done.code, done.err
