"""The order of the rows of a read, and what lies behind a row in it: how a page goes on where another ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lorchestra.storacle.backends.sqlite.conditions import Clause
from lorchestra.storacle.backends.sqlite.layout import SqlValue
from lorchestra.storacle.backends.sqlite.sources import Source
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.fields import Field
from lorchestra.storacle.plain_values import can_be_compared
from lorchestra.storacle.read_spec import Order
from lorchestra.storacle.service import RpcError


@dataclass(frozen=True, slots=True)
class Term:
    """One part of what rows are sorted by. It is never null."""

    sql: str
    values: tuple[SqlValue, ...] = ()
    descending: bool = False


class Ordering:
    """Rows in the order asked for, and then in that of their key.

    Nulls come first. Rows of a view have no key, so all their columns stand for it, and of rows that are alike in all
    of them a page says how many it has given.
    """

    def __init__(self, source: Source, order_by: Sequence[Order]) -> None:
        """Raises RpcError (invalid params) for a field that is not there."""
        self._source = source
        self.terms = tuple(self._terms(order_by))
        self.has_ties = not source.key

    @property
    def selected(self) -> tuple[list[str], list[SqlValue]]:
        """What has to be read of a row to go on behind it."""
        return [term.sql for term in self.terms], [value for term in self.terms for value in term.values]

    @property
    def sql(self) -> str:
        """The terms by their place among what is selected first."""
        numbered = enumerate(self.terms, start=1)
        return ", ".join(f"{number} DESC" if term.descending else f"{number}" for number, term in numbered)

    def start_behind(self, clause: Clause, after: Sequence[Any]) -> int:
        """Let only rows from behind the place through; how many of those have been given already."""
        skip = 0
        place = list(after)
        if self.has_ties and place:
            skip = place.pop()
        if len(place) != len(self.terms) or not all(can_be_compared(value) for value in (*place, skip)):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
        if not isinstance(skip, int) or skip < 0:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
        if self._source.holds_texts:
            place[-1] = _bytes(place[-1])
        _add_place(clause, self.terms, place, with_level=self.has_ties)
        return skip

    def places(self, after: Sequence[Any] | None) -> Callable[[Sequence[Any]], list[Any]]:
        """What tells the place of each row in turn, from what was selected of it."""
        width = len(self.terms)
        if not self.has_ties:
            return lambda row: [value.hex() if isinstance(value, bytes) else value for value in row[:width]]
        last: list[Any] = [] if after is None else list(after[:-1])
        given = 0

        def with_number(row: Sequence[Any]) -> list[Any]:
            nonlocal last, given
            place = list(row[:width])
            given = given + 1 if place == last else 1
            last = place
            return [*place, given]

        return with_number

    def _terms(self, order_by: Sequence[Order]) -> list[Term]:
        terms = []
        for position, order in enumerate(order_by):
            found = self._of_field(order.field, descending=order.descending)
            if not found:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=("read", "order_by", position))
            terms += found
        if self._source.key:
            return [*terms, *(Term(f'"{column}"') for column in self._source.key)]
        for column in self._source.columns:
            terms += self._of_field(Field(column, column), descending=False)
        return terms

    def _of_field(self, field: Field, *, descending: bool) -> list[Term]:
        expression = self._source.expression(field)
        if expression is None:
            return []
        value = Term(expression.sql, expression.values, descending)
        if not expression.may_be_null:
            return [value]
        is_there = Term(f"({expression.sql} IS NOT NULL)", expression.values, descending)
        return [is_there, Term(f"coalesce({expression.sql}, 0)", expression.values, descending)]


def _add_place(clause: Clause, terms: Sequence[Term], place: Sequence[Any], *, with_level: bool) -> None:
    """Behind the place in the first terms of one direction, or level in those and behind it in the next, and so on."""
    sql = ""
    values: list[SqlValue] = []
    runs = [(down, list(run)) for down, run in groupby(zip(terms, place, strict=True), lambda one: one[0].descending)]
    for descending, run in reversed(runs):
        row = f"({', '.join(term.sql for term, _ in run)})"
        marks = f"({', '.join('?' * len(run))})"
        of_run = [*(value for term, _ in run for value in term.values), *(value for _, value in run)]
        behind = f"{row} {'<' if descending else '>'}{'=' if with_level and not sql else ''} {marks}"
        if sql:
            behind = f"({behind} OR ({row} = {marks} AND {sql}))"
        values = [*of_run, *(of_run if sql else ()), *values]
        sql = behind
    clause.add(sql, *values)


def _bytes(place: Any) -> bytes:
    try:
        return bytes.fromhex(place)
    except (TypeError, ValueError):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",)) from None
