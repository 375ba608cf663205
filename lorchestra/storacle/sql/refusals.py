"""Where in a query something stands that is refused."""

from __future__ import annotations

import re

from sqlglot import exp

from lorchestra.errors import DefinitionError, Location, Problem


class Source:
    """The text of a query and the file it is in: what turns a node into a place."""

    def __init__(self, sql: str, file: str) -> None:
        self._sql = sql
        self._file = file

    def problem(self, node: exp.Expr | None, found: str, expected: str, hint: str | None = None) -> Problem:
        return Problem(found=found, expected=expected, hint=hint, location=self._place(node))

    def refused(self, node: exp.Expr | None, found: str, expected: str, hint: str | None = None) -> DefinitionError:
        return DefinitionError(self.problem(node, found, expected, hint))

    def at(self, line: int, column: int, found: str, expected: str) -> DefinitionError:
        return DefinitionError(Problem(found=found, expected=expected, location=Location(self._file, line, column)))

    def _place(self, node: exp.Expr | None) -> Location:
        start = None if node is None else _start(node)
        if start is None:
            return Location(self._file, 1, 1)
        before = self._sql[:start]
        return Location(self._file, before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1)


def _start(node: exp.Expr) -> int | None:
    """Where the node begins, as far as known; most operators have no place of their own, but what they join has."""
    around: exp.Expr | None = node
    while around is not None:
        starts = [int(one.meta["start"]) for one in around.walk() if "start" in one.meta]
        if starts:
            return min(starts)
        around = around.parent
    return None


def name_of(node: exp.Expr) -> str:
    """A construct as an author writes it."""
    named = node.meta.get("bigquery_name")
    if isinstance(named, str):
        return named
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper()
    if isinstance(node, (exp.TsOrDsToTimestamp, exp.TsOrDsToDate)) and node.parent is not None:
        return name_of(node.parent)
    if isinstance(node, exp.Func):
        return node.sql_name()
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()
