"""Printing, for people and for machines."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

_GAP = "  "
_LAST_COLUMN_MIN = 16


def line(text: str = "") -> None:
    print(text)


def error(text: str) -> None:
    # Without a standard error, `print` would take the standard output.
    if sys.stderr is not None:
        print(text, file=sys.stderr)


def as_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=not _can_show_all()))


def as_yaml(value: Any) -> None:
    # Imported here because most commands do without it.
    import yaml

    print(yaml.safe_dump(value, sort_keys=False, allow_unicode=_can_show_all(), width=100), end="")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns, without those that are empty. On a terminal the last one is cut to fit, in a file it is whole."""
    cells = [tuple("" if cell is None else _one_line(str(cell)) for cell in row) for row in rows]
    columns = [column for column in zip(headings, *cells, strict=True) if any(column[1:])]
    if not columns:
        return
    widths = [max(map(len, column)) for column in columns]
    if (room := _room()) is not None:
        left = room - sum(width + len(_GAP) for width in widths[:-1])
        widths[-1] = min(widths[-1], max(left, _LAST_COLUMN_MIN))
    for row in zip(*columns, strict=True):
        *most, last = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(_GAP.join((*most, _cut(last.rstrip(), widths[-1]))).rstrip())


def when(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def time_of_day(moment: datetime | None) -> str:
    return moment.strftime("%H:%M:%S") if moment else ""


def lasted(begin: datetime | None, end: datetime | None) -> str:
    if begin is None or end is None:
        return "-"
    seconds = (end - begin).total_seconds()
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:d}:{minutes % 60:02d}:{seconds:02d}"


def counted(counts: Iterable[tuple[str, int]]) -> str:
    """The counts that say something: those above zero, unless all are zero."""
    counts = tuple(counts)
    telling = [pair for pair in counts if pair[1]] or counts
    return ", ".join(f"{name} {number:,}" for name, number in telling)


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def trace(raised: BaseException) -> None:
    """Where an error and its causes were raised, without messages that may hold values."""
    # Imported here because `--help` must not pay for it.
    from lorchestra.digest import Digester
    from lorchestra.reporting.error_record import describe

    record = describe(raised, Digester(os.urandom(32)))
    while record is not None:
        error(f"{record.type}, raised at")
        for place in record.trace:
            error(f"  {place}")
        record = record.cause  # type: ignore[assignment]  # the loop ends with the last cause


def _can_show_all() -> bool:
    """Whether the output takes every character; spelled out, one would be another text to JSON and YAML."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").replace("_", "") == "utf8"


def _room() -> int | None:
    """The width of the terminal, when there is one."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    ellipsis = "…" if _can_show_all() else "..."
    return text[: width - len(ellipsis)] + ellipsis
