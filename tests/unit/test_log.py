from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.callable.context import CallableLog
from lorchestra.reporting import log
from lorchestra.reporting.observer import Observer

CANARY = "CANARY_5b1f"


@contextmanager
def logging_to(stream: Any, **options: Any) -> Iterator[log.Logger]:
    undo = log.configure(stream=stream, **options)
    try:
        yield log.get_logger("lorchestra.test")
    finally:
        undo()


def written(act: Callable[[log.Logger], object], **options: Any) -> str:
    stream = io.StringIO()
    with logging_to(stream, **options) as logger:
        act(logger)
    return stream.getvalue()


def lines(act: Callable[[log.Logger], object], **options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(act, format="json", **options).splitlines()]


def broken() -> BaseException:
    kind = type(CANARY, (KeyError,), {})
    error: BaseException = kind(CANARY)
    error.add_note(CANARY)
    try:
        raise error from ValueError(CANARY)
    except KeyError as raised:
        return raised


# Lines of ours


def test_a_line_for_machines_is_one_json_object_with_its_event_and_fields() -> None:
    (line,) = lines(lambda logger: logger.bind(run_id="R1").info("step.completed", step_id="fetch", record=3, took=0.5))

    assert list(line) == ["ts", "level", "event", "logger", "run_id", "step_id", "record", "took"]
    assert line["ts"].endswith("Z")
    del line["ts"]
    assert line == {
        "level": "info",
        "event": "step.completed",
        "logger": "lorchestra.test",
        "run_id": "R1",
        "step_id": "fetch",
        "record": 3,
        "took": 0.5,
    }


def test_a_line_for_people_is_short() -> None:
    text = written(lambda logger: logger.warning("step.retrying", step_id="fetch", delay_s=0.5, last=False, at=None))

    assert text[24:] == "warning step.retrying  step_id=fetch delay_s=0.5 last=false at=-\n"


@pytest.mark.parametrize("format", ["console", "json"])
def test_whatever_a_field_holds_a_line_stays_one_line(format: str) -> None:
    fields: dict[str, Any] = {
        "text": 'a "b"\n\x1b[2J\ud800\u2028',
        "long": "x" * 10_000,
        "big": 2**70,
        "none": None,
        "nan": float("nan"),
        "empty": "",
        "object": {CANARY: CANARY},
        "level": "forged",
        "ts": "forged",
        "event": "forged",
        "logger": "forged",
    }
    text = written(lambda logger: logger.write(logging.INFO, "event\n1", fields), format=format)

    assert text.count("\n") == 1
    assert len(text) < 5_000
    assert "\x1b" not in text
    assert CANARY not in text
    assert "level_" in text


@given(st.text(), st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
def test_any_event_is_a_line_that_parses(event: str, fields: dict[str, Any]) -> None:
    (line,) = lines(lambda logger: logger.write(logging.ERROR, event, fields))

    assert line["level"] == "error"
    assert line["logger"] == "lorchestra.test"


@pytest.mark.parametrize(
    ("level", "events"),
    [("debug", "diwe"), ("INFO", "iwe"), ("warning", "we"), ("error", "e")],
)
def test_the_level_says_which_events_are_written(level: str, events: str) -> None:
    def act(logger: log.Logger) -> None:
        logger.debug("d")
        logger.info("i")
        logger.warning("w")
        logger.error("e")

    assert "".join(line["event"] for line in lines(act, level=level)) == events


def test_fields_bound_to_the_work_stand_in_every_line_of_it() -> None:
    def act(logger: log.Logger) -> None:
        with log.bound(run_id="R1"):
            with log.bound(step_id="fetch"):
                logger.info("inside")
                thread = threading.Thread(target=copy_context().run, args=(logger.info, "thread"))
                thread.start()
                thread.join()
            logger.info("between")
        logger.info("after")

    inside, thread, between, after = lines(act)
    assert (inside["run_id"], inside["step_id"]) == ("R1", "fetch")
    assert (thread["run_id"], thread["step_id"]) == ("R1", "fetch")
    assert (between["run_id"], "step_id" in between) == ("R1", False)
    assert "run_id" not in after


@pytest.mark.parametrize("format", ["console", "json"])
def test_an_error_in_a_line_is_its_type_and_place(format: str) -> None:
    text = written(lambda logger: logger.write(logging.ERROR, "step.failed", error=broken()), format=format)

    assert CANARY not in text
    assert "KeyError (a subclass)" in text
    assert ":broken" in text


def test_a_program_that_uses_lorchestra_as_a_library_sees_events_like_any_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="lorchestra"):
        log.get_logger("lorchestra.test").info("step.completed", record=3)

    assert caplog.messages == ["step.completed record=3"]


# Lines of other code


def foreign(_logger: log.Logger) -> None:
    logging.getLogger("json.decoder").warning("%s", CANARY, extra={CANARY: CANARY})
    logging.getLogger(CANARY).error(CANARY)
    logging.getLogger("json").error("%d %d", CANARY)
    logging.warning(CANARY, stack_info=True)
    error = broken()
    logging.getLogger("json").error(CANARY, exc_info=error)
    forged = {"msg": CANARY, "name": CANARY, "pathname": CANARY, "funcName": f"{CANARY} x", "levelno": logging.ERROR}
    logging.getLogger("json").handle(logging.makeLogRecord(forged))
    logging.getLogger("json").critical(CANARY)


@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("format", ["console", "json"])
def test_of_what_other_code_logs_only_who_how_loud_and_where_is_written(format: str, level: str) -> None:
    text = written(foreign, format=format, level=level, root=Path(__file__).parent)

    assert CANARY not in text
    assert text.count("foreign_log") == text.count("\n") == 7
    assert text.count("test_log.py:") >= 5


def test_a_foreign_line_names_the_loaded_module_that_logged_and_the_place() -> None:
    decoder, unknown, *_ = lines(foreign, root=Path(__file__).parent)

    assert (decoder["event"], decoder["level"], decoder["logger"]) == ("foreign_log", "warning", "json.decoder")
    assert decoder["at"].startswith("test_log.py:")
    assert decoder["at"].endswith(":foreign")
    assert unknown["logger"] == "<generated>"


def test_values_are_shown_on_the_console_when_asked_and_only_there() -> None:
    def act(logger: log.Logger) -> None:
        foreign(logger)
        logger.write(logging.ERROR, "step.failed", error=broken())

    console = written(act, show_values=True)
    assert f"    {CANARY}\n" in console
    assert f"    KeyError (a subclass): '{CANARY}'\n" in console
    assert f"    caused by ValueError: {CANARY}\n" in console
    assert "    (its message cannot be shown)\n" in console
    assert CANARY not in written(act, show_values=True, format="json")


@pytest.mark.parametrize(("level", "count"), [("debug", 2), ("info", 0)])
def test_the_chatter_of_other_code_shows_at_debug_only(level: str, count: int) -> None:
    def act(_logger: log.Logger) -> None:
        chatty = logging.getLogger("json.scanner")
        before = chatty.level
        chatty.setLevel(logging.DEBUG)
        chatty.info(CANARY)
        chatty.debug(CANARY)
        chatty.setLevel(before)

    assert len(lines(act, level=level)) == count


# The stream


class Failing(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "full"), ValueError("closed"), RuntimeError()])
def test_a_stream_that_fails_loses_lines_and_nothing_else(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    stream = Failing(error)
    with logging_to(stream) as logger:
        logger.error("lost")
        logging.warning("lost too")
        stream.error = None
        logger.error("kept")

    assert stream.getvalue().count("\n") == 1
    assert "kept" in stream.getvalue()
    assert capsys.readouterr() == ("", "")


def test_a_closed_stream_and_a_missing_one_break_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    with logging_to(closed) as logger:
        logger.error("lost")
    monkeypatch.setattr(sys, "stderr", None)
    with logging_to(None) as logger:
        logger.error("lost")


def test_a_stream_that_cannot_hold_a_letter_gets_the_rest() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    with logging_to(stream) as logger:
        logger.info("named", name="größe")

    assert b"name=gr??e" in buffer.getvalue()


def test_lines_go_to_standard_error_whatever_it_is_at_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to(None) as logger:
        logger.info("one")

    assert "info    one" in capsys.readouterr().err


# Configuration


def test_configuring_replaces_what_was_there_and_can_be_undone() -> None:
    top = logging.getLogger()
    before = list(top.handlers), top.level
    stray = io.StringIO()
    handler = logging.StreamHandler(stray)
    top.addHandler(handler)
    try:
        written(foreign)
        assert stray.getvalue() == ""
        assert handler in top.handlers
    finally:
        top.removeHandler(handler)
    assert (list(top.handlers), top.level) == before


def test_configuring_twice_writes_each_line_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    with logging_to(first), logging_to(second) as logger:
        logger.info("one")

    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


@pytest.mark.parametrize("options", [{"format": "xml"}, {"level": "loud"}])
def test_an_unknown_format_or_level_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        log.configure(**options)  # type: ignore[arg-type]  # strings, as they come from the command line


def test_writing_no_line_loads_neither_structlog_nor_rich_nor_pydantic() -> None:
    program = (
        "import sys; from lorchestra.reporting import log, process_hooks"
        "; log.configure(level='warning'); process_hooks.install()"
        "; log.get_logger('lorchestra.x').info('below');"
        "print([name for name in ('structlog', 'rich', 'pydantic', 'asyncio') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"


# Callables and runs


def test_a_callables_log_lets_numbers_pass_and_shows_the_type_of_anything_else() -> None:
    class Spoken(int):
        def __repr__(self) -> str:
            return CANARY

        __str__ = __repr__

    def act(logger: log.Logger) -> None:
        callable_log: CallableLog = log.CountsLog(logger.bind(run_id="R1"))
        callable_log.info("pages.fetched", pages=3, ratio=0.5, last=True)
        extra: dict[str, Any] = {"text": CANARY, "big": 2**64, "spoken": Spoken(3), "run_id": CANARY, f"{CANARY} x": 1}
        callable_log.warning("pages.fetched", **extra)

    first, second = lines(act)
    assert (first["event"], first["pages"], first["ratio"], first["last"]) == ("pages.fetched", 3, 0.5, True)
    assert second["level"] == "warning"
    assert (second["text"], second["big"], second["spoken"]) == ("str", "int", "int (a subclass)")
    assert second["unnamed_fields"] == 1
    assert CANARY not in json.dumps([first, second])


@pytest.mark.parametrize("event", [CANARY, "Anna Müller", "a b", "", "x" * 65, "a\n", 7])
def test_an_event_that_is_no_name_is_replaced(event: Any) -> None:
    (line,) = lines(lambda logger: log.CountsLog(logger).info(event))

    assert line["event"] == "callable_event"


@pytest.mark.parametrize(
    ("event", "fields", "level"),
    [
        ("run.started", {"run_id": "R1"}, "info"),
        ("step.started", {"step_id": "fetch"}, "debug"),
        ("step.completed", {"step_id": "fetch"}, "info"),
        ("step.retrying", {"step_id": "fetch"}, "warning"),
        ("step.failed", {"step_id": "fetch", "error_type": "KeyError"}, "error"),
        ("run.ended", {"status": "completed"}, "info"),
        ("run.ended", {"status": "partial"}, "warning"),
        ("run.ended", {"status": "failed"}, "error"),
    ],
)
def test_an_observed_run_is_logged_as_loud_as_it_matters(event: str, fields: dict[str, Any], level: str) -> None:
    def act(logger: log.Logger) -> None:
        observer: Observer = log.LogObserver()
        observer.emit(event, **fields)

    (line,) = lines(act, level="debug")
    assert (line["event"], line["level"], line["logger"]) == (event, level, "lorchestra.run")
    assert fields.items() <= line.items()
