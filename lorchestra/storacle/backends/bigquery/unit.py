"""The ops of a unit, each by its method: first all are looked at, then all are written down in their order."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

from lorchestra.storacle.backends.base import ReadyOp, UnitRefused
from lorchestra.storacle.backends.bigquery.jobs import Jobs
from lorchestra.storacle.backends.bigquery.made_by_query import Made, Makers, Making
from lorchestra.storacle.backends.bigquery.names import Names
from lorchestra.storacle.backends.bigquery.tables import Tables
from lorchestra.storacle.backends.bigquery.transaction import Transaction, Write
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods.asserts import AssertExists, AssertRows, AssertUnique
from lorchestra.storacle.methods.rows import Rows
from lorchestra.storacle.methods.sql import SqlExecute, ViewCreate
from lorchestra.storacle.methods.state import StatePut
from lorchestra.storacle.params import Meta
from lorchestra.storacle.service import RpcError


class Unit:
    def __init__(
        self,
        ops: Sequence[ReadyOp],
        transaction: Transaction,
        jobs: Jobs,
        tables: Tables,
        names: Names,
        meta: Meta,
    ) -> None:
        """Raises UnitRefused for the first op that does not fit."""
        self._ops = ops
        self._transaction = transaction
        self._makers = Makers(jobs, tables, names, meta)
        self.makings: dict[int, Making] = {}
        self._made: list[Made] = []
        self._writes: dict[int, Write] = {}
        for number, op in enumerate(ops):
            with _refusing(number):
                self._look_at(number, op)

    def make(self, *, known: Collection[str]) -> None:
        """Make the views and the empty tables that are to be there, but not those of ops that were applied before."""
        for number, making in self.makings.items():
            with _refusing(number):
                self._make(number, making, known)

    def undo(self) -> None:
        """Take back what was made: the unit is refused."""
        for made in reversed(self._made):
            self._makers.undo(made)

    def refusal_of_query(self) -> UnitRefused | None:
        """For a unit with SQL that BigQuery does not carry out; what it says of it could quote rows."""
        for number, making in self.makings.items():
            return UnitRefused(number, RpcError(ErrorCode.REFUSED, at=making.at))
        return None

    def write(self) -> None:
        for number, op in enumerate(self._ops):
            self._transaction.apply(number, op, self._writes[number])

    def _look_at(self, number: int, op: ReadyOp) -> None:
        transaction, params = self._transaction, op.params
        match params:
            case Rows():
                self._writes[number] = transaction.rows(number, op, params)
            case StatePut():
                self._writes[number] = transaction.put_state(number, params)
            case AssertRows() | AssertExists() | AssertUnique():
                self._writes[number] = transaction.check(number, params, op.at)
            case SqlExecute() | ViewCreate():
                self.makings[number] = self._makers.read(params, transaction, op.at)
            case _:
                raise AssertionError(op.method)

    def _make(self, number: int, making: Making, known: Collection[str]) -> None:
        made = Made(is_new=False)
        if self._ops[number].key not in known:
            made = self._makers.prepare(making, is_alone=len(self._ops) == 1)
            self._made.append(made)
        self._writes[number] = self._makers.write(number, making, self._transaction, made)


@contextlib.contextmanager
def _refusing(number: int) -> Iterator[None]:
    try:
        yield
    except RpcError as error:
        raise UnitRefused(number, error) from None
