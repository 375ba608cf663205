"""What python would print by itself, put into the log without the values it may hold: uncaught errors and warnings."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from lorchestra import code_names
from lorchestra.reporting import log

_WARNINGS = "py.warnings"


def install() -> Callable[[], None]:
    """Errors that nobody catches, in threads and destructors too, and warnings become lines: type and place only.

    The function returned puts back what was there before.
    """
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    # Not logging.captureWarnings: it makes the message, and the line of code that warned, the text of a record.
    warnings.showwarning = _warned

    def undo() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = before

    return undo


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _LOG.write(logging.ERROR, "process.error", error=error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    _write("thread.error", args.exc_type, args.exc_value)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    # `args.object` is left out: how it prints is up to foreign code.
    _write("process.unraisable", args.exc_type, args.exc_value)


def _write(event: str, kind: type[BaseException], error: BaseException | None) -> None:
    if error is None:
        _LOG.error(event, error_type=code_names.type_name(kind))
    else:
        _LOG.write(logging.ERROR, event, error=error)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    target = logging.getLogger(_WARNINGS)
    if not target.isEnabledFor(logging.WARNING):
        return
    # A record of other code, so that its text shows where values are shown, and only there.
    error = message if isinstance(message, Warning) else None
    about = (type(error), error, None) if error is not None else None
    target.handle(target.makeRecord(_WARNINGS, logging.WARNING, filename, lineno, "", (), about))


_LOG = log.get_logger(f"{log.ROOT}.process")
