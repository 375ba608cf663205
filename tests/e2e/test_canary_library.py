"""A program that runs jobs through the public API is shown no value of theirs: not in its log, not in an error."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import traceback
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

from .canaries import jobs
from .canaries.finding import assert_nothing_shows
from .canaries.project import Project
from .canaries.refused import NUMBER, REFUSED, SPACED, WORD


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
    ended = project.run_python(program, payload[1:])

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
