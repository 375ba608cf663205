"""The log: one event and its fields a line, for people or for machines; ids, counts, durations and hashes, no values.

Events travel through the standard library's `logging`, so a program that uses lorchestra as a library sees them like
any other. At the edge of our own process `configure` puts one handler in place that renders them with structlog. What
other code logs may hold values: of it the handler shows who logged, how loud and where, and not what.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TextIO, TypeGuard

from lorchestra import code_names
from lorchestra.reporting.log_handler import LineHandler
from lorchestra.reporting.log_line import Field, Line

ROOT = "lorchestra"

_FORMATS = ("console", "json")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_UNNAMED_EVENT = "callable_event"
_NO_FIELDS: Mapping[str, Field] = MappingProxyType({})

# A program that has not set up logging is shown nothing, and not our warnings bare on its standard error.
logging.getLogger(ROOT).addHandler(logging.NullHandler())

_bound: ContextVar[Mapping[str, Field]] = ContextVar("lorchestra_log_fields", default=_NO_FIELDS)


class Logger:
    """Writes events with the fields bound to it, and those bound to the work that is going on."""

    __slots__ = ("_fields", "_target")

    def __init__(self, target: logging.Logger, fields: Mapping[str, Field]) -> None:
        self._target = target
        self._fields = fields

    def bind(self, **fields: Field) -> Logger:
        return Logger(self._target, {**self._fields, **fields})

    def debug(self, event: str, /, **fields: Field) -> None:
        self.write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: Field) -> None:
        self.write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: Field) -> None:
        self.write(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: Field) -> None:
        self.write(logging.ERROR, event, fields)

    def write(
        self, level: int, event: str, fields: Mapping[str, Field] = _NO_FIELDS, *, error: BaseException | None = None
    ) -> None:
        """One line. Of an error its type and place are shown, and its message only on a console that shows values."""
        target = self._target
        if not target.isEnabledFor(level):
            return
        line = Line(event, {**_bound.get(), **self._fields, **fields}, error)
        # Made here and not by logging's own methods: nobody needs to know where in our code a line was written.
        target.handle(target.makeRecord(target.name, level, "", 0, line, (), None))


def get_logger(name: str) -> Logger:
    return Logger(logging.getLogger(name), _NO_FIELDS)


@contextmanager
def bound(**fields: Field) -> Iterator[None]:
    """Adds the fields to every line written meanwhile, by whatever code, in this thread (or copy of its context)."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def bound_fields() -> Mapping[str, Field]:
    """What is bound to the work that is going on."""
    return _bound.get()


class LogObserver:
    """An Observer that writes what a run does into the log."""

    def __init__(self, logger: Logger | None = None) -> None:
        self._logger = logger or get_logger(f"{ROOT}.run")

    def emit(self, event: str, *, error: BaseException | None = None, **fields: Field) -> None:
        self._logger.write(_level_of(event, fields), event, fields, error=error)


class CountsLog:
    """The log a callable is given: names that stand in its code and numbers pass, anything else shows as its type."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def info(self, event: str, **counts: int | float | bool) -> None:
        self._write(logging.INFO, event, counts)

    def warning(self, event: str, **counts: int | float | bool) -> None:
        self._write(logging.WARNING, event, counts)

    def _write(self, level: int, event: object, counts: Mapping[str, object]) -> None:
        # Whoever called `info` or `warning`: a name may be made of data, unless it stands in the code of the callable.
        caller = sys._getframe(2)
        passed = {name: _number(value) for name, value in counts.items() if _is_name(name, caller)}
        if len(passed) < len(counts):
            passed["unnamed_fields"] = len(counts) - len(passed)
        self._logger.write(level, event if _is_name(event, caller) else _UNNAMED_EVENT, passed)


def configure(
    *,
    format: str = "console",
    level: str = "info",
    stream: TextIO | None = None,
    show_values: bool = False,
    root: Path | None = None,
) -> Callable[[], None]:
    """Send every log line of this process to `stream` (standard error, whatever it is at the time).

    Whatever handlers the process had are put aside. Lines of other code are shown from WARNING on, and below that only
    at level `debug`. With `show_values` a console shows the messages of other code and of errors. Raises ValueError
    for a format or level that is not known. The function returned undoes all of it.
    """
    if format not in _FORMATS:
        raise ValueError(f"found no log format; expected one of {', '.join(_FORMATS)}")
    if level.lower() not in _LEVELS:
        raise ValueError(f"found no log level; expected one of {', '.join(_LEVELS)}")
    number = _LEVELS[level.lower()]
    ours, top = logging.getLogger(ROOT), logging.getLogger()
    before = (list(top.handlers), top.level, ours.level)
    show_values = show_values and format == "console"
    threshold = number if show_values or number == logging.DEBUG else max(number, logging.WARNING)
    handler = LineHandler(
        as_json=format == "json", stream=stream, show_values=show_values, threshold=threshold, root=root
    )
    top.handlers[:] = [handler]
    top.setLevel(threshold)
    ours.setLevel(number)

    def undo() -> None:
        if handler in top.handlers:
            top.handlers[:] = before[0]
            top.setLevel(before[1])
            ours.setLevel(before[2])

    return undo


def _level_of(event: str, fields: Mapping[str, Field]) -> int:
    end = event.rpartition(".")[2]
    if end == "failed" or fields.get("status") == "failed":
        return logging.ERROR
    if end in ("retrying", "waiting") or fields.get("status") in ("partial", "cancelled"):
        return logging.WARNING
    return logging.DEBUG if end == "started" and "step_id" in fields else logging.INFO


def _is_name(text: object, caller: FrameType) -> TypeGuard[str]:
    return type(text) is str and _NAME.fullmatch(text) is not None and code_names.is_written(text, caller)


def _number(value: object) -> Field:
    # By exact type: a subclass of int may print as anything. Integers of more than 64 bits can hold text.
    if type(value) is bool or type(value) is float or (type(value) is int and -(2**63) <= value < 2**63):
        return value
    return code_names.type_name(type(value))
