"""Runs a script: variables, conditions, transactions, assertions and handlers around the statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.standins.bigquery.errors import Injected, JSONObject, Refusal
from tests.standins.bigquery.sql import script
from tests.standins.bigquery.sql.engine import Session, StatementResult
from tests.standins.bigquery.sql.translate import Scope
from tests.standins.bigquery.sql.values import Typed, sql_type

Checkpoint: TypeAlias = Callable[[int], None]


@dataclass(slots=True, kw_only=True)
class Interpreter:
    """`checkpoint` is told how many statements have run, before the first and after each."""

    session: Session
    project: str
    default_dataset: str | None
    parameters: Mapping[str, Typed]
    checkpoint: Checkpoint
    results: list[StatementResult] = field(default_factory=list)
    _variables: dict[str, Typed] = field(default_factory=dict)
    _statements: int = 0
    _positions: int = 0
    _row_count: int = 0
    _error: Refusal | None = None

    def run(self, nodes: Sequence[script.Node]) -> None:
        self.checkpoint(0)
        self._block(nodes)

    def dry_run(self, nodes: Sequence[script.Node]) -> StatementResult | None:
        """Checks a single statement; of a script, BigQuery checks little more than the syntax."""
        match nodes:
            case [script.Sql(text)]:
                return self.session.dry_run(text, self._scope())
            case _:
                return None

    def _block(self, nodes: Sequence[script.Node]) -> None:
        for node in nodes:
            match node:
                case script.If(branches):
                    self._if(branches)
                case script.Block(body, handler):
                    self._guarded(body, handler)
                case _:
                    self._step(node)
                    self._statements += 1
                    self.checkpoint(self._statements)

    def _if(self, branches: Sequence[tuple[str | None, Sequence[script.Node]]]) -> None:
        for condition, body in branches:
            if condition is None or self._evaluate(condition)[0] is True:
                self._block(body)
                return

    def _guarded(self, body: Sequence[script.Node], handler: Sequence[script.Node] | None) -> None:
        try:
            self._block(body)
        except Injected:
            raise
        except Refusal as error:
            if handler is None:
                raise
            outer, self._error = self._error, error
            self._block(handler)
            self._error = outer

    def _step(self, node: script.Node) -> None:
        match node:
            case script.Sql(text):
                done = self.session.execute(text, self._scope())
                self.results.append(done)
                if done.counts is not None:
                    self._row_count = done.affected
            case script.Begin():
                self.session.begin()
            case script.Commit():
                self.session.commit()
            case script.Rollback():
                self.session.rollback()
            case script.Declare(names, kind, default):
                self._declare(names, kind, default)
            case script.Set(name, text):
                if name.lower() not in self._variables:
                    raise Refusal("invalidQuery", f"Undeclared variable: {name}")
                kind = self._variables[name.lower()].type
                value, _ = self._evaluate(f"CAST(({text}) AS {kind})")
                self._variables[name.lower()] = Typed(kind, value)
            case script.Assert(condition, message):
                if self._evaluate(condition)[0] is not True:
                    raise Refusal("invalidQuery", str(self._evaluate(message)[0]))
            case script.Raise(message):
                raise self._raised(message)
            case _:
                raise AssertionError(node)

    def _declare(self, names: Sequence[str], kind: str | None, default: str | None) -> None:
        value = None
        if default is not None:
            value, found = self._evaluate(default if kind is None else f"CAST(({default}) AS {kind})")
            kind = kind or sql_type(found)
        if kind is None:
            raise Refusal("invalidQuery", "Syntax error: DECLARE needs a type or a default")
        for name in names:
            self._variables[name.lower()] = Typed(kind, value)

    def _raised(self, message: str | None) -> Refusal:
        if message is not None:
            return Refusal("invalidQuery", str(self._evaluate(message)[0]))
        return self._error or Refusal("invalidQuery", "Cannot re-raise an error outside of an exception handler")

    def _evaluate(self, expression: str) -> tuple[Any, JSONObject]:
        done = self.session.execute(f"SELECT ({expression})", self._scope())
        return done.rows[0][0], done.fields[0]

    def _scope(self) -> Scope:
        return Scope(
            project=self.project,
            default_dataset=self.default_dataset,
            parameters=self.parameters,
            variables=self._variables,
            temporary=frozenset(self.session.temporary),
            row_count=self._row_count,
            error_message=self._error.message if self._error is not None else None,
            columns_of=self.session.columns_of,
            next_position=self._next_position,
        )

    def _next_position(self) -> int:
        self._positions += 1
        return self._positions
