"""A record of which no page can be made."""

from __future__ import annotations

from lorchestra.errors import pointer


class Unfit(Exception):
    """Where and by which rule, never with what value. `line` is the template's."""

    def __init__(self, rule: str, field: str | None = None, line: int | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.pointer = "" if field is None else pointer((field,))
        self.line = line
