"""Nothing of a payload, an item, a secret, a prompt, an answer or a callable's error shows where it must not."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.standins import llm
from tests.standins.llm import StandInLlm

from .canaries import canary, jobs
from .canaries.finding import assert_all_show, assert_nothing_shows
from .canaries.project import Ended, Project

LOUD = ("-v", "--debug", "--log-format", "json", "--json")
MODES = {"as it comes": (), "loud": ("-v", "--debug"), "loud, for machines": LOUD}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def run_id_of(ended: Ended) -> str:
    return str(json.loads(ended.out)["run_id"])


# Runs that go well


@pytest.mark.parametrize(
    ("rejects", "options", "code"),
    [(False, (), 0), (True, LOUD, 1)],
    ids=["completed", "partial, loud, for machines"],
)
def test_a_run_that_comes_to_its_end_leaves_its_values_in_the_data_only(
    tmp_path: Path, rejects: bool, options: tuple[str, ...], code: int
) -> None:
    answer = "\n".join(canary.texts("answer"))
    model = str(canary.of("answer")["word"])
    with StandInLlm(llm.answer(answer, model=model), llm.answer(answer, finish_reason=model)) as service:
        project = Project(tmp_path, llm=service.base_url)
        project.job("good", *jobs.GOOD)
        project.job("good_child", *jobs.GOOD_CHILD)
        payload = project.keep("payload.json", jobs.good_payload(rejects=rejects))
        ctx = project.keep("ctx.json", jobs.good_ctx())
        ended = project.run("exec", "job", "good", "--payload", payload, "--ctx", ctx, *options)

    assert ended.code == code, str(ended)
    assert_nothing_shows({**ended.printed, **project.known(), **project.left()})
    assert [path.name for path in project.private.rglob("*")] == []
    # They were there: what the data plane and the service got holds them.
    assert_all_show(project.data, "row", "row-key", "cursor", "stats", "ctx", "answer")
    asked = {"asked": b"".join(json.dumps(one.body).encode() for one in service.asked)}
    assert_all_show(asked, "prompt", "system", "answer")
    assert service.asked[0].headers["authorization"] == f"Bearer {canary.of('secret-env')['word']}"


# Runs with every way to fail


@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
def test_whatever_goes_wrong_in_a_step_shows_nothing_of_its_values(tmp_path: Path, options: tuple[str, ...]) -> None:
    half = f"x{canary.of('answer')['word']}".encode()
    behaviours = (llm.refuse(400), llm.refuse(401), llm.refuse(503), llm.refuse(500), llm.babble, llm.cut)
    with StandInLlm(*behaviours, llm.body(half)) as service:
        project = Project(tmp_path, llm=service.base_url)
        project.job("troubles", *jobs.troubles())
        project.job("bad_child", *jobs.BAD_CHILD)
        payload = project.keep("payload.json", jobs.trouble_payload())
        ended = project.run("exec", "job", "troubles", "--payload", payload, *options)

    assert ended.code == 1, str(ended)
    assert len(service.asked) == 7
    known = project.known()
    assert_nothing_shows({**ended.printed, **known, **project.left()})
    assert [path.name for path in project.private.rglob("*")] == []
    failed = _failed_steps(known)
    assert failed >= {step["step_id"] for step in jobs.troubles()} - jobs.HARMLESS


def _failed_steps(known: Mapping[str, bytes]) -> set[str]:
    runs = [
        json.loads(text)
        for where, text in known.items()
        if where.startswith("stdout of runs show") and "--json" in where
    ]
    (run,) = [run for run in runs if run["job_id"] == "troubles"]
    return {one["step_id"] for one in run["attempts"][-1]["step_outcomes"] if one["status"] == "failed"}


@pytest.mark.parametrize("name", jobs.BROKEN)
@pytest.mark.parametrize("options", [("-v", "--debug"), ("--dry-run", "--debug")], ids=["run", "dry run"])
def test_a_callable_that_cannot_be_loaded_shows_nothing_of_its_text(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    project = Project(tmp_path)
    project.callable(name, jobs.BROKEN[name])
    project.job("broken", jobs.call("only", name, words="@payload.words"))
    payload = project.keep("payload.json", jobs.trouble_payload())
    ended = project.run_here("exec", "job", "broken", "--payload", payload, *options)

    assert name.encode() in ended.err
    listed = project.run_here("callables", "list", "--json", "--debug")
    assert_nothing_shows({**ended.printed, **listed.printed, **project.known(), **project.left(but=[project.private])})


# Runs that stop, and what is kept for their resume


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_a_failed_run_needs_is_private_and_goes_once_it_is_done(tmp_path: Path, umask: int) -> None:
    project, arguments, gate = _gated(tmp_path, *jobs.gate("raise"))
    ended = project.run("exec", "job", "gated", *arguments, *LOUD, umask=umask)

    assert ended.code == 2, str(ended)
    assert_nothing_shows({**ended.printed, **project.known(), **project.left(but=[project.private])})
    kept = _kept(project)
    assert_all_show(kept, "words")
    assert {_mode(path) for path in (project.private, *project.private.rglob("*")) if path.is_dir()} == {0o700}
    assert {_mode(path) for path in (project.root / ".lorchestra").rglob("*") if path.is_file()} == {0o600}
    assert _mode(project.root / ".lorchestra") == 0o700

    again = project.run("runs", "resume", run_id_of(ended), "-v", "--debug")
    assert again.code == 2
    gate.touch()
    resumed = project.run("runs", "resume", run_id_of(ended), "-v", "--debug", umask=umask)
    assert resumed.code == 0, str(resumed)
    assert_nothing_shows({**again.printed, **resumed.printed, **project.known(), **project.left()})
    assert _kept(project) == {}


@pytest.mark.parametrize(
    ("then", "limits", "status"),
    [("hang", {"timeout_s": 0.2}, "failed"), ("hang", {"total_timeout_s": 0.2}, "failed")],
    ids=["without progress", "in all"],
)
def test_a_step_that_runs_out_of_time_shows_nothing_of_its_values(
    tmp_path: Path, then: str, limits: dict[str, Any], status: str
) -> None:
    project, arguments, _ = _gated(tmp_path, *jobs.gate(then, **limits))
    ended = project.run("exec", "job", "gated", *arguments, *LOUD)

    assert json.loads(ended.out)["status"] == status
    assert_nothing_shows({**ended.printed, **project.known(), **project.left(but=[project.private])})
    assert_all_show(_kept(project), "words")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, "cancelled"), (signal.SIGTERM, "cancelled"), (signal.SIGKILL, "interrupted")],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_run_that_is_stopped_keeps_its_values_private_until_it_is_pruned(
    tmp_path: Path, number: signal.Signals, status: str
) -> None:
    project, arguments, gate = _gated(tmp_path, *jobs.gate("wait"))
    with project.started("exec", "job", "gated", *arguments, "-v", "--debug") as started:
        until(lambda: gate.with_suffix(".reached").exists() or started.process.poll() is not None)
        started.process.send_signal(number)
        ended = started.ended()

    known = project.known()
    assert status.encode() in known["stdout of runs list --json"], str(ended)
    assert_nothing_shows({**ended.printed, **known, **project.left(but=[project.private])})
    assert_all_show(_kept(project), "words")

    pruned = _pruned(project)
    assert_nothing_shows({**pruned.printed, **project.left()})
    assert _kept(project) == {}


def _pruned(project: Project) -> Ended:
    """Retention is counted in seconds, so a run that has just ended stays for one."""
    tries: list[Ended] = []

    def prune() -> bool:
        tries.append(project.run_here("runs", "prune", "--keep", "1s", "--json"))
        return bool(json.loads(tries[-1].out)["run_ids"])

    until(prune)
    return tries[-1]


def _gated(tmp_path: Path, *steps: jobs.Step) -> tuple[Project, tuple[str, ...], Path]:
    project = Project(tmp_path)
    project.job("gated", *steps)
    gate = project.elsewhere / "gate"
    payload = project.keep("payload.json", {"words": canary.of("words")})
    return project, ("--payload", payload, "--ctx", f"gate={gate}"), gate


def _kept(project: Project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.private.rglob("*") if path.is_file()}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# What is shown when it is asked for


def test_values_show_on_the_console_when_asked_and_only_there(tmp_path: Path) -> None:
    project, arguments, _ = _gated(tmp_path, *jobs.gate("raise"))
    console = project.run("exec", "job", "gated", *arguments, "--show-values", "-v")
    machines = project.run("exec", "job", "gated", *arguments, "--show-values", *LOUD)

    assert_all_show({"stderr": console.err}, "words")
    assert_nothing_shows({"stdout": console.out})
    assert_nothing_shows({**machines.printed, **project.known(), **project.left(but=[project.private])})


def test_a_compiled_job_shows_the_values_and_a_dry_run_does_not(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.job("good", *jobs.GOOD)
    project.job("good_child", *jobs.GOOD_CHILD)
    given = ("--payload", project.keep("p.json", jobs.good_payload()), "--ctx", project.keep("c.json", jobs.good_ctx()))
    compiled = project.run("exec", "compile", "good", *given, "--json")
    told = project.run_here("exec", "compile", "--help")
    dry = [project.run("exec", "job", "good", *given, "--dry-run", *more) for more in ((), ("-v", "--debug", "--json"))]

    assert compiled.code == 0
    assert_all_show({"stdout": compiled.out}, "row", "stats", "said", "prompt", "ctx")
    assert b"values you gave" in told.out
    assert_nothing_shows({"stderr": compiled.err, **project.left()})
    for one in dry:
        assert one.code == 0, str(one)
        assert_nothing_shows(one.printed)
    assert_nothing_shows(project.left())
