"""The SQL files of a project: each of `views/` makes the view it is named after, each of `queries/` is a query.

They are read as BigQuery SQL. What is checked here is what the embedded backend will make of them: a mistake is found
when definitions are validated, and not at night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lorchestra.errors import DefinitionError, Location, Problem
from lorchestra.storacle.methods.rows import OWN_DATASET
from lorchestra.storacle.sql.compilation import compile_select, compile_statement, target_of
from lorchestra.storacle.sql.relations import Relation, TableName
from lorchestra.storacle.tables import TABLES, Table

_MOST_BYTES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A file of `views/`, and what the view is called that it makes."""

    file: str
    sql: str
    target: TableName


class SqlLibrary:
    def __init__(
        self,
        folder: Path,
        *,
        root: Path | None = None,
        tables: Iterable[Table] = TABLES,
        built_in: Path | None = None,
    ) -> None:
        """`root` is where the places of mistakes are told from. The views of the folder `built_in` may be read, where
        the project has none of the same name, and are not checked themselves.
        """
        self._folder = folder
        self._built_in = built_in
        self._root = root or folder
        self._tables = {
            TableName(table.dataset, table.name): Relation(
                f"{table.dataset}__{table.name}", {column.name: column.type.value for column in table.columns}
            )
            for table in tables
            if table.dataset != OWN_DATASET
        }

    def problems(self) -> tuple[Problem, ...]:
        """Every mistake in every file."""
        found: list[Problem] = []
        own = self._views(self._files("views"), found)
        # What is wrong with these is no mistake of the project's.
        not_ours: list[Problem] = []
        built_in = self._views(self._files("views", self._built_in) if self._built_in else (), not_ours)
        views = {**built_in, **own}
        relations = dict(self._tables)
        for target, view in views.items():
            into = found if target in own else not_ours
            self._collect(into, partial(self._relation, view.target, views, relations, ()))
        for file in self._files("queries"):
            self._collect(found, partial(self._check_query, file, relations))
        return tuple(dict.fromkeys(found))

    def _views(self, files: Iterable[Path], found: list[Problem]) -> dict[TableName, View]:
        views: dict[TableName, View] = {}

        def read(file: Path) -> None:
            name, sql = self._name(file), self._text(file)
            target = target_of(sql, file=name)
            if target.table != file.stem:
                raise DefinitionError(
                    Problem(
                        found=f"the view '{target}' in a file of another name",
                        expected=f"expected a view named '{file.stem}'",
                        location=Location(name, 1, 1),
                    )
                )
            if target.dataset == OWN_DATASET or TableName(target.dataset, target.table) in self._tables:
                raise DefinitionError(
                    Problem(
                        found=f"'{target}' is the name of a table",
                        expected="expected a name that no declared table has, outside of the dataset 'storacle'",
                        location=Location(name, 1, 1),
                    )
                )
            views[TableName(target.dataset, target.table)] = View(file=name, sql=sql, target=target)

        for file in files:
            self._collect(found, partial(read, file))
        return views

    def _relation(
        self,
        name: TableName,
        views: Mapping[TableName, View],
        relations: dict[TableName, Relation],
        above: tuple[TableName, ...],
    ) -> Relation | None:
        """A table; or a view, compiled after the views that it reads."""
        name = TableName(name.dataset, name.table)
        if name in relations or name not in views:
            return relations.get(name)
        view = views[name]
        if name in above:
            way = " reads ".join(map(str, (*above[above.index(name) :], name)))
            problem = Problem(found=way, expected="a view cannot read itself", location=Location(view.file, 1, 1))
            raise DefinitionError(problem)
        statement = compile_statement(
            view.sql,
            tables=lambda read: self._relation(read, views, relations, (*above, name)),
            target=str,
            file=view.file,
        )
        columns = {column: kind.value if kind else None for column, kind in statement.query.columns.items()}
        relations[name] = Relation(str(name), columns)
        return relations[name]

    def _check_query(self, file: Path, relations: Mapping[TableName, Relation]) -> None:
        def known(name: TableName) -> Relation | None:
            return relations.get(TableName(name.dataset, name.table))

        compile_select(self._text(file), tables=known, file=self._name(file))

    def _files(self, kind: str, folder: Path | None = None) -> list[Path]:
        return sorted(((folder or self._folder) / kind).glob("*.sql"))

    def _name(self, file: Path) -> str:
        return str(file.relative_to(self._root) if file.is_relative_to(self._root) else file)

    def _text(self, file: Path) -> str:
        try:
            data = file.read_bytes()
            text = data.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(file, f"a file that cannot be read ({type(error).__name__})") from None
        if len(data) > _MOST_BYTES:
            raise self._unreadable(file, f"a file of {len(data)} bytes")
        return text

    def _unreadable(self, file: Path, found: str) -> DefinitionError:
        expected = f"expected SQL in UTF-8, of at most {_MOST_BYTES} bytes"
        return DefinitionError(Problem(found=found, expected=expected, location=Location(self._name(file), 1, 1)))

    @staticmethod
    def _collect(found: list[Problem], check: Callable[[], object]) -> None:
        try:
            check()
        except DefinitionError as error:
            found += error.problems
