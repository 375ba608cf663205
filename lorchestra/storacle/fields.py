"""What a read speaks of: a column, or what a path finds in a column of JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
# A name, a name in double quotes for what else JSON keys may hold, or a position.
_STEP = re.compile(r'\.([A-Za-z_][A-Za-z0-9_-]{0,127})|\."([^"\\\x00-\x1f]{1,128})"|\[(0|[1-9][0-9]{0,5})\]', re.ASCII)
_MOST_STEPS = 16


@dataclass(frozen=True, slots=True)
class Field:
    """`text` is how it was written, which is also its name in the rows that are read."""

    text: str
    column: str
    path: tuple[str | int, ...] = ()

    @property
    def json_path(self) -> str:
        """The path as SQL/JSON has it. Names stand in quotes, and hold none."""
        steps = (f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in self.path)
        return "$" + "".join(steps)


def parse_field(text: object) -> Field | None:
    """`column`, or `column.name[0]."a name"`; None for anything else."""
    if not isinstance(text, str):
        return None
    column = _COLUMN.match(text)
    if column is None:
        return None
    steps: list[str | int] = []
    position = column.end()
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None or len(steps) >= _MOST_STEPS:
            return None
        name, quoted_name, index = step.groups()
        steps.append(int(index) if index is not None else name or quoted_name)
        position = step.end()
    return Field(text, column.group(), tuple(steps))
