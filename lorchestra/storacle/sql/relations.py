"""The tables of a query: what they are called in it, and what the backend calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from lorchestra.errors import DefinitionError, Problem
from lorchestra.storacle.sql.refusals import Source


@dataclass(frozen=True, slots=True)
class TableName:
    """A table as a query names it."""

    dataset: str
    table: str
    project: str | None = None

    def __str__(self) -> str:
        return ".".join(filter(None, (self.project, self.dataset, self.table)))


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view as the backend has it: its physical name, and its columns with their kinds where known."""

    name: str
    columns: Mapping[str, str | None]


Resolver = Callable[[TableName], Relation | None]


def name_of(table: exp.Table, source: Source) -> TableName:
    if not table.db:
        raise source.refused(table, f"'{table.name}' without a dataset", "expected dataset.table")
    return TableName(table.db, table.name, table.catalog or None)


class Tables:
    """The tables of one query. While it is compiled they have plain names, so that none can be taken for another."""

    def __init__(self, resolver: Resolver, source: Source) -> None:
        self._resolver = resolver
        self._source = source
        self._relations: dict[str, Relation] = {}
        self.read: dict[TableName, str] = {}
        self.schema: dict[str, dict[str, str]] = {}

    def settle(self, tree: exp.Query) -> None:
        problems: list[Problem] = []
        for table in list(tree.find_all(exp.Table)):
            if not table.db and _is_cte(table):
                continue
            try:
                name = name_of(table, self._source)
            except DefinitionError as refused:
                problems.extend(refused.problems)
                continue
            relation = self._resolver(name)
            if relation is None:
                problems.append(self._source.problem(table, f"no table is named '{name}'", "expected a known table"))
                continue
            key = self.read.setdefault(name, f"lorch_table_{len(self.read)}")
            self._relations[key] = relation
            self.schema[key] = {column.lower(): kind or "UNKNOWN" for column, kind in relation.columns.items()}
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(name.table)))
            for part in ("db", "catalog"):
                table.set(part, None)
            table.set("this", exp.to_identifier(key))
        if problems:
            raise DefinitionError(*problems)

    def restore(self, tree: exp.Expr) -> None:
        for table in tree.find_all(exp.Table):
            relation = self._relations.get(table.name)
            if relation is not None:
                # In its schema a name can only be the table's; alone it could be that of a WITH.
                table.set("this", exp.to_identifier(relation.name, quoted=True))
                table.set("db", exp.to_identifier("main", quoted=True))

    def spelled(self, column: str) -> str:
        return next(
            (name for relation in self._relations.values() for name in relation.columns if name.lower() == column),
            column,
        )


def _is_cte(table: exp.Table) -> bool:
    """Whether a WITH around the table, or an earlier part of the same WITH, has its name."""
    below: exp.Expr = table
    around = table.parent
    while around is not None:
        if isinstance(around, exp.With):
            earlier = around.expressions[: around.expressions.index(below)] if below in around.expressions else ()
            if _names(table, earlier):
                return True
        elif (
            isinstance(around, exp.Query)
            and around.args.get("with_") not in (None, below)
            and _names(table, around.args["with_"].expressions)
        ):
            return True
        below, around = around, around.parent
    return False


def _names(table: exp.Table, parts: Iterable[exp.Expr]) -> bool:
    return any(part.alias.lower() == table.name.lower() for part in parts)
