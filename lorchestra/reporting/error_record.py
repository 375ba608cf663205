"""Errors as they may be recorded: what kind, where, and why, without the values that a message may hold.

Messages of our own errors carry no values and are kept whole. Any other message, also that of one of our errors raised
by code that is not ours, may have been made from data: a keyed fingerprint stands in for it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from lorchestra import code_names
from lorchestra.digest import Digester
from lorchestra.errors import LorchestraError, TransientError
from lorchestra.schemas import ErrorRecord

MAX_CAUSES = 10
MAX_FRAMES = 20

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NO_TEXT = "(its message cannot be shown)"


def describe(error: BaseException, digester: Digester, *, root: Path | None = None) -> ErrorRecord:
    """The error and its causes, safe to show. Never raises because of what the error is or holds.

    Places below `root` are relative to it. An error of ours that was never raised was made by who describes it.
    """
    record: ErrorRecord | None = None
    chain = tuple(_chain(error))
    for one in reversed(chain):
        record = _describe_one(one, digester, root=root, cause=record, is_head=one is error)
    assert record is not None
    return record


def render(record: ErrorRecord) -> list[str]:
    """The record for the console: type, message or fingerprint, place; then its causes."""
    lines: list[str] = []
    lead = ""
    one: ErrorRecord | None = record
    while one is not None:
        first, *more = (one.message or "").split("\n")
        if one.message:
            lines.append(f"{lead}{one.type}: {first}")
            lines += [f"  {line}" for line in more]
        elif one.fingerprint:
            lines.append(f"{lead}{one.type} (message {one.fingerprint})")
        else:
            lines.append(f"{lead}{one.type}")
        if one.raised_at:
            lines.append(f"  at {one.raised_at}")
        lead, one = "caused by ", one.cause
    return lines


def summary(record: ErrorRecord) -> str:
    """The record in one phrase, to stand in another message."""
    if record.message:
        return record.message
    return f"{record.type} at {record.raised_at}" if record.raised_at else record.type


def describe_plain(error: BaseException) -> str:
    """The error and its causes with their messages, which may hold values: for the console, when asked, only."""
    lines: list[str] = []
    for number, one in enumerate(_chain(error)):
        text = _text(one)
        notes = _slot(one, "__dict__").get("__notes__", ())
        lines.append(f"{'caused by ' if number else ''}{type_of(one)}: {_NO_TEXT if text is None else text}")
        if isinstance(notes, (list, tuple)):
            lines += [note for note in notes if isinstance(note, str)]
    # A message may come from afar; it may not drive the terminal.
    return _CONTROL.sub("\ufffd", _without_surrogates("\n".join(lines)))


def type_of(error: BaseException) -> str:
    """The qualified name of the error's type, or of its nearest base that code names."""
    return code_names.type_name(type(error), (frame.f_globals for frame, _ in _frames(error)))


def raised_at(error: BaseException, *, root: Path | None = None) -> str | None:
    """The innermost place the error came from."""
    frames = _frames(error)
    return _place(frames[-1], root) if frames else None


def _describe_one(
    error: BaseException, digester: Digester, *, root: Path | None, cause: ErrorRecord | None, is_head: bool
) -> ErrorRecord:
    frames = _frames(error)
    trace = tuple(_place(frame, root) for frame in frames)
    text = _text(error)
    is_own = _is_own(error, frames, is_head=is_head)
    return ErrorRecord(
        type=type_of(error),
        message=_without_surrogates(text) if is_own and text is not None else None,
        fingerprint=None if is_own or text is None else digester.data(text.encode("utf-8", "surrogatepass")),
        raised_at=trace[-1] if trace else None,
        trace=trace,
        transient=isinstance(error, TransientError),
        cause=cause,
    )


def _is_own(error: BaseException, frames: tuple[tuple[FrameType, int], ...], *, is_head: bool) -> bool:
    if not isinstance(error, LorchestraError) or not code_names.is_ours(type(error)):
        return False
    return code_names.is_our_code(frames[-1][0].f_code) if frames else is_head


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and so on; a group is caused by the first error in it. Cycles end."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) <= MAX_CAUSES:
        yield one
        seen.add(id(one))
        one = _cause(one)


def _cause(error: BaseException) -> BaseException | None:
    cause: BaseException | None = _slot(error, "__cause__")
    if cause is not None:
        return cause
    if isinstance(error, BaseExceptionGroup):
        first: BaseException = BaseExceptionGroup.__dict__["exceptions"].__get__(error)[0]
        return first
    context: BaseException | None = _slot(error, "__context__")
    return None if _slot(error, "__suppress_context__") else context


def _frames(error: BaseException) -> tuple[tuple[FrameType, int], ...]:
    """The innermost frames and their lines, outermost first."""
    frames: deque[tuple[FrameType, int]] = deque(maxlen=MAX_FRAMES)
    trace: TracebackType | None = _slot(error, "__traceback__")
    while trace is not None:
        # A frame can be without a line, whatever the type says.
        frames.append((trace.tb_frame, trace.tb_lineno or 0))
        trace = trace.tb_next
    return tuple(frames)


def _place(frame: tuple[FrameType, int], root: Path | None) -> str:
    code = frame[0].f_code
    return code_names.place(code.co_filename, frame[1], code.co_name, root=root)


def _slot(error: BaseException, name: str) -> Any:
    """An attribute every exception has, past whatever its class puts in front of it."""
    return BaseException.__dict__[name].__get__(error)


def _text(error: BaseException) -> str | None:
    try:
        # Joined into a plain str: a subclass of str could go on deciding what it says.
        return "".join([str(error)])
    except Exception:  # noqa: BLE001  (foreign code: a message that cannot be made is no reason to lose the error)
        return None


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
