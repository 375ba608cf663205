"""Renders log records as lines: events of ours with their fields, of other code's only who, how loud and where."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lorchestra import code_names
from lorchestra.reporting.log_line import Field, Line

if TYPE_CHECKING:  # it loads asyncio, and rich where that is installed
    from structlog.typing import FilteringBoundLogger

FOREIGN_EVENT = "foreign_log"

_LEVEL_NAMES = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
_HEAD = ("ts", "level", "event", "logger")
_PLAIN_NAMES = ("root", "py.warnings")
_EXCEPTION_FIELDS = ("error_type", "error_at")
_MAX_TEXT = 2000


class LineHandler(logging.Handler):
    """Writes lines to `stream`, or to whatever standard error is at the time. A line that cannot be written is lost:
    a log that fails must not fail the run.

    Records of other code below `threshold` are left out. With `show_values` messages of other code are shown.
    """

    def __init__(
        self, *, as_json: bool, stream: TextIO | None, show_values: bool, threshold: int, root: Path | None
    ) -> None:
        super().__init__()
        self._as_json = as_json
        self._stream = stream
        self._show_values = show_values
        self._threshold = threshold
        self._root = root
        self._lines: FilteringBoundLogger | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if isinstance(record.msg, Line):
                self._emit_own(record, record.msg)
            elif record.levelno >= self._threshold:
                self._emit_foreign(record)
        except Exception:  # noqa: BLE001  (a closed or full stream, a forged record: whoever logs must not pay for it)
            return

    def _emit_own(self, record: logging.LogRecord, line: Line) -> None:
        fields = {_field_name(name): safe(value) for name, value in line.fields.items()}
        if line.error is not None:
            fields |= self._error_fields(line.error)
        self._write(record, safe(line.event), record.name, fields)
        if line.error is not None and self._show_values:
            self._show(_plain(line.error))

    def _emit_foreign(self, record: logging.LogRecord) -> None:
        place = code_names.place(record.pathname, record.lineno, record.funcName, root=self._root)
        fields: dict[str, Field] = {"at": place}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields |= self._error_fields(error)
        name = record.name if record.name in _PLAIN_NAMES else code_names.module_name(record.name)
        self._write(record, FOREIGN_EVENT, name, fields)
        if self._show_values:
            self._show(_message(record))
            if error is not None:
                self._show(_plain(error))

    def _write(self, record: logging.LogRecord, event: Field, logger: str, fields: Mapping[str, Field]) -> None:
        if self._lines is None:
            self._lines = self._open()
        level = next((name for least, name in _LEVEL_NAMES if record.levelno >= least), "debug")
        # The fields go as one: structlog takes keywords, and some names are its own.
        getattr(self._lines, level)(event, logger=logger, fields=fields)

    def _open(self) -> FilteringBoundLogger:
        # Loaded with the first line that is written: it costs more than all else a short command does.
        import structlog

        render = _json_renderer() if self._as_json else _render_console
        lines: FilteringBoundLogger = structlog.wrap_logger(
            _Output(self._put),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
                _order,
                render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        ).bind()
        return lines

    def _show(self, text: str) -> None:
        for line in text.splitlines():
            self._put(f"    {line}")

    def _put(self, line: str) -> None:
        stream = self._stream or sys.stderr
        # A process without a console has no standard error.
        if stream is not None:
            _write_line(stream, line)

    def _error_fields(self, error: BaseException) -> dict[str, Field]:
        from lorchestra.reporting import (
            error_record,  # it brings pydantic, which a process that logs no error may do without
        )

        shown = (error_record.type_of(error), error_record.raised_at(error, root=self._root))
        return {name: value for name, value in zip(_EXCEPTION_FIELDS, shown, strict=True) if value}


class _Output:
    """What structlog hands finished lines to; one method for all levels."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = put


def safe(value: Any) -> Field:
    """A field as it may stand in a line: one line, bounded, and nothing but text and numbers."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value  # type: ignore[no-any-return]  # its type was just looked at
    if kind is int:
        return value if -(2**63) <= value < 2**64 else code_names.type_name(kind)
    if isinstance(value, str):
        text = str.__str__(value)[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode("utf-8")
        return text if text.isprintable() else "".join(map(_printable, text))
    return code_names.type_name(kind)


def _field_name(name: str) -> str:
    """The name, which cannot pass for what every line begins with."""
    return f"{name}_" if name in _HEAD else str(safe(name))


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


def _order(_logger: object, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {**{name: line[name] for name in _HEAD}, **line["fields"]}


def _json_renderer() -> Any:
    import orjson
    import structlog

    def dumps(line: object, **_options: object) -> str:
        return orjson.dumps(line).decode()

    return structlog.processors.JSONRenderer(serializer=dumps)


def _render_console(_logger: object, _method: str, line: MutableMapping[str, Any]) -> str:
    """`2026-03-01 08:00:00.123 info    step.completed  step_id=fetch record=3`"""
    fields = " ".join(f"{name}={_console_value(value)}" for name, value in line.items() if name not in _HEAD)
    moment = str(line["ts"])[:23].replace("T", " ")
    source = f"  [{line['logger']}]" if line["event"] == FOREIGN_EVENT else ""
    return f"{moment} {line['level']:<7} {line['event']}  {fields}".rstrip() + source


def _console_value(value: Field) -> str:
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "-"}[value]
        case float():
            return f"{value:g}"
        case str() if value == "" or " " in value or '"' in value:
            return '"' + value.replace('"', '\\"') + '"'
        case _:
            return str(value)


def _write_line(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


def _message(record: logging.LogRecord) -> str:
    try:
        return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in record.getMessage())
    except Exception:  # noqa: BLE001  (foreign code: arguments that do not fit, a __str__ that raises)
        return "(its message cannot be shown)"


def _plain(error: BaseException) -> str:
    from lorchestra.reporting import error_record  # as above

    return error_record.describe_plain(error)
