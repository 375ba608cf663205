from __future__ import annotations

import gc
import io
import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lorchestra.reporting import log, process_hooks

CANARY = "CANARY_5b1f"

Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture(params=["json", "console"])
def stream(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    undo_log = log.configure(format=request.param, stream=stream)
    undo_hooks = process_hooks.install()
    yield stream
    undo_hooks()
    undo_log()
    assert CANARY not in stream.getvalue()


class Careless:
    def __repr__(self) -> str:
        return CANARY

    def __del__(self) -> None:
        raise ValueError(CANARY)


def fail() -> None:
    raise ValueError(CANARY)


def test_an_error_nobody_caught_is_a_line_with_type_and_place(stream: io.StringIO) -> None:
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    assert "process.error" in stream.getvalue()
    assert ":fail" in stream.getvalue()


def test_an_error_in_a_thread_is_a_line_and_its_exit_is_none(stream: io.StringIO) -> None:
    for target in (fail, sys.exit):
        thread = threading.Thread(target=target, name=CANARY)
        thread.start()
        thread.join()

    assert stream.getvalue().count("\n") == stream.getvalue().count("thread.error") == 1
    assert ":fail" in stream.getvalue()


def test_an_error_in_a_destructor_is_a_line(stream: io.StringIO) -> None:
    Careless()
    gc.collect()

    assert "process.unraisable" in stream.getvalue()
    assert ":__del__" in stream.getvalue()


def test_an_error_without_an_instance_shows_its_type(stream: io.StringIO) -> None:
    threading.excepthook(threading.ExceptHookArgs((MemoryError, None, None, None)))

    assert "MemoryError" in stream.getvalue()


def test_a_warning_is_a_line_of_other_code(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(CANARY, RuntimeWarning, stacklevel=1)
        warnings.warn(CANARY + "%s", stacklevel=1)

    first, second = stream.getvalue().splitlines()
    assert "py.warnings" in first
    assert "RuntimeWarning" in first
    assert "test_process_hooks.py:" in first
    assert "UserWarning" in second


def test_a_warning_shows_its_text_where_values_are_shown() -> None:
    stream = io.StringIO()
    undo_log, undo_hooks = log.configure(stream=stream, show_values=True), process_hooks.install()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(CANARY, RuntimeWarning, stacklevel=1)
    undo_hooks()
    undo_log()

    assert stream.getvalue().count(CANARY) == 1


def test_warnings_are_not_shown_below_the_level() -> None:
    stream = io.StringIO()
    undo_log, undo_hooks = log.configure(stream=stream, level="error"), process_hooks.install()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(CANARY, RuntimeWarning, stacklevel=1)
    undo_hooks()
    undo_log()

    assert stream.getvalue() == ""


def test_the_hooks_can_be_taken_away_again() -> None:
    def hooks() -> tuple[object, ...]:
        return sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning

    before = hooks()
    undo = process_hooks.install()
    assert all(now is not then for now, then in zip(hooks(), before, strict=True))
    undo()

    assert hooks() == before


def test_lines_of_the_hooks_parse() -> None:
    stream = io.StringIO()
    undo_log, undo_hooks = log.configure(format="json", stream=stream), process_hooks.install()
    sys.excepthook(KeyError, KeyError(CANARY), None)
    undo_hooks()
    undo_log()

    line = json.loads(stream.getvalue())
    assert (line["event"], line["error_type"], line["logger"]) == ("process.error", "KeyError", "lorchestra.process")
