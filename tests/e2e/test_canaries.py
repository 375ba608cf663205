"""Nothing of a payload, an item, a secret, a prompt, an answer or a callable's error shows where it must not."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import stat
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import lorchestra
from lorchestra.compiler import compile_job
from lorchestra.errors import LorchestraError
from lorchestra.executor import Executor
from lorchestra.reporting.log import LogObserver
from lorchestra.schemas import JobDef
from tests.standins import llm
from tests.standins.llm import StandInLlm

from .canaries import canary, jobs
from .canaries.canary import Canary, Document
from .canaries.project import Ended, Project

EVERYTHING = canary.channels(*jobs.GOOD_PAYLOAD, *jobs.GOOD_CTX, *jobs.TROUBLE_PAYLOAD, *jobs.BESIDE)
DOCUMENTS = tuple(
    Document(name, value)
    for name, value in [
        ("payload", jobs.good_payload()),
        ("payload that rejects", jobs.good_payload(rejects=True)),
        ("ctx", jobs.good_ctx()),
        ("trouble payload", jobs.trouble_payload()),
        ("stats", jobs.good_payload()["stats"]),
        ("prompt", jobs.good_payload()["prompt"]),
        ("words", jobs.trouble_payload()["words"]),
    ]
)
LOUD = ("-v", "--debug", "--log-format", "json", "--json")
MODES = {"as it comes": (), "loud": ("-v", "--debug"), "loud, for machines": LOUD}


def assert_nothing_shows(places: Mapping[str, bytes], wanted: tuple[Canary | Document, ...] = EVERYTHING) -> None:
    found = canary.search(places, (*wanted, *DOCUMENTS))
    assert not found, "\n".join(f"{one.what} as {one.encoding} in {one.where}: {one.around!r}" for one in found[:20])


def shown(places: Mapping[str, bytes], channel: str) -> set[str]:
    """The shapes of a channel that can be read in the places."""
    return {one.what.partition("/")[2] for one in canary.search(places, canary.channels(channel))}


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
    data = {"data": project.journal.read_bytes()}
    for channel in ("row", "row-key", "cursor", "stats", "ctx", "answer"):
        assert shown(data, channel) == set(canary.SHAPES), channel
    asked = {"asked": b"".join(json.dumps(one.body).encode() for one in service.asked)}
    for channel in ("prompt", "system", "answer"):
        assert shown(asked, channel) == set(canary.SHAPES), channel
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
    assert shown(kept, "words") == set(canary.SHAPES)
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
    assert shown(_kept(project), "words") == set(canary.SHAPES)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, "cancelled"), (signal.SIGTERM, "cancelled"), (signal.SIGKILL, "interrupted")],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_run_that_is_stopped_keeps_its_values_private_until_it_is_pruned(
    tmp_path: Path, number: signal.Signals, status: str
) -> None:
    project, arguments, gate = _gated(tmp_path, *jobs.gate("wait"))
    process = project.start("exec", "job", "gated", *arguments, "-v", "--debug")
    until(lambda: gate.with_suffix(".reached").exists() or process.poll() is not None)
    process.send_signal(number)
    ended = project.finish(process, "exec", "job", "gated")

    known = project.known()
    assert status.encode() in known["stdout of runs list --json"], str(ended)
    assert_nothing_shows({**ended.printed, **known, **project.left(but=[project.private])})
    assert shown(_kept(project), "words") == set(canary.SHAPES)

    pruned = _pruned(project)
    assert_nothing_shows({**pruned.printed, **project.left()})
    assert _kept(project) == {}


def _pruned(project: Project) -> Ended:
    """Retention is counted in seconds, so a run that has just ended stays for one."""
    while True:
        ended = project.run_here("runs", "prune", "--keep", "1s", "--json")
        if json.loads(ended.out)["run_ids"]:
            return ended


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

    assert shown({"stderr": console.err}, "words") == set(canary.SHAPES)
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
    for channel in ("row", "stats", "said", "prompt", "ctx"):
        assert shown({"stdout": compiled.out}, channel) == set(canary.SHAPES), channel
    assert b"values you gave" in told.out
    assert_nothing_shows({"stderr": compiled.err, **project.left()})
    for one in dry:
        assert one.code == 0, str(one)
        assert_nothing_shows(one.printed)
    assert_nothing_shows(project.left())


# Requests that are refused

WORD = str(canary.of("payload")["word"])
NUMBER = canary.of("payload")["number"]
SPACED = str(canary.of("payload")["spaced"])
ROWS = {"items": [], "method": "table.upsert", "dataset": "raw", "table": "rows", "key_columns": ["idem_key"]}


def _deep(levels: int) -> Any:
    value: Any = WORD
    for _ in range(levels):
        value = {WORD: [value]}
    return value


REFUSED: Mapping[str, tuple[jobs.Step, str]] = {
    "missing path": (jobs.call("a", "passed", seen="@payload.nothing.there"), json.dumps({"nothing": {WORD: WORD}})),
    "wrong step of a path": (jobs.call("a", "passed", seen="@payload.word.there"), json.dumps({"word": WORD})),
    "condition on a text": ({**jobs.call("a", "passed"), "if": "@payload.word"}, json.dumps({"word": WORD})),
    "condition on two types": (
        {**jobs.call("a", "passed"), "if": "@payload.word < @payload.number"},
        json.dumps({"word": SPACED, "number": NUMBER}),
    ),
    "too large a number": (jobs.call("a", "passed"), json.dumps({WORD: {SPACED: [1 << 70]}})),
    "no number": (jobs.call("a", "passed"), json.dumps({SPACED: [{WORD: float("nan")}]})),
    "half a letter": (jobs.call("a", "passed"), json.dumps({WORD: "\ud800" + WORD, "\udc00": WORD})),
    "too deep": (jobs.call("a", "passed"), json.dumps(_deep(60))),
    "far too deep": (jobs.call("a", "passed"), '{"a":' * 100_000 + json.dumps(WORD)),
    "no object": (jobs.call("a", "passed"), json.dumps([WORD, SPACED])),
    "no JSON": (jobs.call("a", "passed"), json.dumps({WORD: SPACED})[:-1]),
    "JSON and more": (jobs.call("a", "passed"), json.dumps({WORD: SPACED}) + WORD),
    "items that are none": (jobs.build("a", "@payload.word"), json.dumps({"word": WORD})),
    "batches of another size": (jobs.build("a", [], batch_size="@payload.n"), json.dumps({"n": NUMBER})),
    "bytes by a text": (jobs.build("a", [], batch_bytes="@payload.n"), json.dumps({"n": WORD})),
    "fields without the key": (jobs.build("a", [], key_columns="@payload.k", fields=["x"]), json.dumps({"k": [WORD]})),
    "a map that is none": (jobs.build("a", [], field_map="@payload.m"), json.dumps({"m": {WORD: {SPACED: 1}}})),
    "a key that is none": (
        {
            **jobs.build("a", []),
            "idempotency": {"scope": "semantic", "semantic_key_ref": "@payload.key"},
        },
        json.dumps({"key": {WORD: SPACED}}),
    ),
    "a prompt that is none": (jobs.ask("a", prompt="@payload.n"), json.dumps({"n": NUMBER})),
    "a role that is none": (
        jobs.ask("a", messages="@payload.m"),
        json.dumps({"m": [{"role": WORD, "content": SPACED}]}),
    ),
    "params of an unknown kind": (jobs.ask("a", messages="@payload.m"), json.dumps({"m": [{WORD: SPACED}]})),
    "a version that is none": (jobs.child("a", "refused", version="@payload.v"), json.dumps({"v": WORD})),
}


@pytest.mark.parametrize(("step", "payload"), REFUSED.values(), ids=REFUSED)
def test_a_payload_that_is_refused_shows_nothing_of_itself(tmp_path: Path, step: jobs.Step, payload: str) -> None:
    project = Project(tmp_path)
    project.job("refused", step)
    path = project.elsewhere / "payload.json"
    path.write_text(payload)
    ended = project.run_here("exec", "job", "refused", "--payload", f"@{path}", "-v", "--debug")

    assert ended.code == 65, str(ended)
    assert ended.err.startswith(b"error: ")
    assert_nothing_shows({**ended.printed, **project.left()})
    assert not project.private.exists() or not any(project.private.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [("--payload", WORD), ("--payload", f'{{"{WORD}": {WORD}}}'), ("--payload", f'{{"{WORD}'), ("--ctx", f"={SPACED}")],
    ids=["no pair", "no value", "no end", "no key"],
)
def test_values_on_the_command_line_that_are_refused_show_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    project = Project(tmp_path)
    project.job("refused", jobs.call("a", "passed"))
    ended = project.run_here("exec", "job", "refused", *arguments, "-v", "--debug")

    assert ended.code == 65
    assert_nothing_shows({**ended.printed, **project.left()})


# Secrets


@pytest.mark.parametrize(
    ("profile", "environ", "key"),
    [
        ("file", {}, None),
        ("file", {}, "spaced"),
        (None, {"LLM_KEY": SPACED}, None),
        (None, {"LORCHESTRA_LLM__API_KEY": WORD}, None),
        (None, {"LORCHESTRA_LLM__BASE_URL": f"https://me:{WORD}@localhost/v1"}, None),
        (None, {"LORCHESTRA_LLM__MAX_TOKENS": WORD}, None),
        (None, {"LORCHESTRA_LLM__TIMEOUT_S": SPACED}, None),
    ],
)
def test_a_secret_shows_nowhere_also_where_it_does_not_belong(
    tmp_path: Path, profile: str | None, environ: dict[str, str], key: str | None
) -> None:
    with StandInLlm(llm.refuse(403)) as service:
        project = Project(tmp_path, llm=service.base_url)
        if key:
            (project.elsewhere / "key").write_text(str(canary.of("secret-file")[key]))
        project.job("asks", jobs.ask("a", prompt="@payload.words[0]"))
        payload = project.keep("payload.json", jobs.trouble_payload())
        options = ("--profile", profile) if profile else ()
        ended = project.run_here(
            "exec", "job", "asks", "--payload", payload, *options, "-v", "--debug", environ=environ
        )

    assert ended.code in (2, 78), str(ended)
    assert_nothing_shows({**ended.printed, **project.left(but=[project.private])})
    if service.asked:
        assert service.asked[0].headers["authorization"] == f"Bearer {canary.of('secret-file')['word']}"
    secrets = canary.channels("secret-file", "secret-env")
    assert not canary.search(project.left(), secrets)


def test_a_secret_written_into_the_settings_shows_nowhere(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.job("asks", jobs.ask("a", prompt="x"))
    settings = project.root / "lorchestra.yaml"
    for text in (
        json.dumps({"llm": {"base_url": "http://localhost", "api_key": WORD}}),
        json.dumps({"llm": {"base_url": f"http://{WORD}@localhost", "api_key": "env:LLM_KEY"}}),
        json.dumps({"llm": {"base_url": "http://localhost", "api_key": {WORD: SPACED}}}),
        f"llm: {{api_key: {WORD}: {WORD}}}",
        f"llm:\n  api_key: '{WORD}\n",
    ):
        settings.write_text(text)
        ended = project.run_here("exec", "job", "asks", "-v", "--debug")
        assert ended.code == 78, str(ended)
        assert_nothing_shows({**ended.printed, **project.left()})


# Within another program


class Everything(logging.Handler):
    """Keeps all that a handler of the other program could write of a record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written += [self.format(record), repr(record.__dict__)]


def _troubles_that_are_caught() -> tuple[jobs.Step, ...]:
    # What fails in threads and destructors of a callable is shown by the program it runs in, as ever.
    return tuple(step for step in jobs.troubles() if step["step_id"] not in ("in_thread", "in_del"))


@pytest.mark.parametrize("observer", [None, LogObserver()], ids=["unobserved", "observed"])
def test_a_program_that_runs_jobs_is_shown_no_value(tmp_path: Path, observer: LogObserver | None) -> None:
    handler = Everything()
    with StandInLlm(llm.refuse(401), llm.refuse(429), llm.refuse(500), llm.answer(WORD)) as service:
        project = Project(tmp_path, llm=service.base_url)
        project.job("troubles", *_troubles_that_are_caught())
        project.job("bad_child", *jobs.BAD_CHILD)
        with project.inside(), contextlib.redirect_stderr(io.StringIO()) as stderr:
            logging.getLogger().addHandler(handler)
            logging.getLogger().setLevel(logging.DEBUG)
            try:
                result = lorchestra.execute(
                    {"job_id": "troubles", "payload": jobs.trouble_payload()}, observer=observer
                )
            finally:
                logging.getLogger().removeHandler(handler)

    assert result.status == "partial"
    assert bool(handler.written) == (observer is not None)
    places = {
        "log": "\n".join(handler.written),
        "stderr": stderr.getvalue(),
        "result": json.dumps(result.to_dict()),
        "result as text": f"{result!r} {result}",
    }
    assert_nothing_shows({**{where: text.encode() for where, text in places.items()}, **project.left()})


def test_a_program_without_logging_is_shown_nothing_at_all(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.job("troubles", *_troubles_that_are_caught())
    project.job("bad_child", *jobs.BAD_CHILD)
    project.callable(
        "counts", "def execute(params, context):\n    context.log.warning('seen', n=1)\n    return {'items': []}\n"
    )
    project.job("counts", jobs.call("a", "counts"))
    payload = project.keep("payload.json", jobs.trouble_payload())
    program = (
        "import json, sys, lorchestra\n"
        "payload = json.load(open(sys.argv[1]))\n"
        "for job_id in ('counts', 'troubles'):\n"
        "    result = lorchestra.execute({'job_id': job_id, 'payload': payload})\n"
        "    print(json.dumps(result.to_dict()), result)\n"
    )
    ended = project.finish(project.start_python("-c", program, payload[1:]), "the program")

    assert (ended.code, ended.err) == (0, b"")
    assert_nothing_shows({**ended.printed, **project.left()})


@pytest.mark.parametrize(("step", "payload"), REFUSED.values(), ids=REFUSED)
def test_an_error_that_keeps_a_job_from_starting_shows_no_value_however_it_is_printed(
    tmp_path: Path, step: jobs.Step, payload: str
) -> None:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        value = payload
    project = Project(tmp_path)
    project.job("refused", step)
    with project.inside(), pytest.raises(LorchestraError) as caught:
        lorchestra.execute({"job_id": "refused", "payload": value})

    _assert_printed_without_values(caught.value)


@pytest.mark.parametrize(
    "payload",
    [
        {WORD: type(WORD, (), {})()},
        {type(WORD, (), {"__repr__": lambda self: SPACED})(): 1},
        {WORD: {SPACED: b"\xff" + SPACED.encode()}},
        {WORD: {SPACED}},
        [WORD],
        SPACED,
        NUMBER,
    ],
    ids=["a made type", "a made key", "bytes", "a set", "a list", "a text", "a number"],
)
def test_a_payload_that_is_no_json_is_refused_without_a_value(tmp_path: Path, payload: Any) -> None:
    project = Project(tmp_path)
    project.job("refused", jobs.call("a", "passed"))
    with project.inside(), pytest.raises(LorchestraError) as caught:
        lorchestra.execute({"job_id": "refused", "payload": payload})

    _assert_printed_without_values(caught.value)


@pytest.mark.parametrize("envelope", [{"job_id": "a", "payload": [WORD]}, {"job_id": "a", "smoke_namespace": SPACED}])
def test_an_executor_that_is_given_a_wrong_envelope_shows_nothing_of_it(envelope: dict[str, Any]) -> None:
    definition = JobDef.model_validate({"job_id": "a", "version": "2.0", "steps": [jobs.call("a", "passed")]})
    instance = compile_job(definition)
    with pytest.raises(LorchestraError) as caught:
        Executor().execute(instance, envelope)

    _assert_printed_without_values(caught.value)


def _assert_printed_without_values(error: BaseException) -> None:
    printed = {"str": str(error), "repr": repr(error), "traceback": "".join(traceback.format_exception(error))}
    # The traceback shows lines of this file as well, but no value stands in them.
    assert_nothing_shows({where: text.encode(errors="backslashreplace") for where, text in printed.items()})
