"""Printing, for people and for machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def line(text: str = "") -> None:
    print(text)


def error(text: str) -> None:
    print(text, file=sys.stderr)


def as_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    cells = [tuple("" if cell is None else str(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for row in (headings, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def when(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def lasted(begin: datetime | None, end: datetime | None) -> str:
    if begin is None or end is None:
        return "-"
    seconds = (end - begin).total_seconds()
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:d}:{minutes % 60:02d}:{seconds:02d}"


def counted(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts)


def as_yaml(value: Any) -> None:
    import yaml

    sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def trace(raised: BaseException) -> None:
    """Where an error and its causes were raised, without messages that may hold values."""
    from lorchestra.digest import Digester
    from lorchestra.error_record import describe

    record = describe(raised, Digester(os.urandom(32)))
    while record is not None:
        error(f"{record.type}, raised at")
        for place in record.trace:
            error(f"  {place}")
        record = record.cause  # type: ignore[assignment]  # the loop ends with the last cause
