"""The shape of a query: what it groups, where its arrays come from, and where SQLite takes fewer parentheses."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlglot import exp

from lorchestra.errors import Problem
from lorchestra.storacle.sql import kinds, rewriting
from lorchestra.storacle.sql.refusals import Source


def check_group_names(tree: exp.Expr, columns: Collection[str], source: Source) -> Iterator[Problem]:
    """Where a name in GROUP BY is a column's and another expression's as well, engines choose differently."""
    for select in tree.find_all(exp.Select):
        named = {one.alias.lower(): one.this for one in select.expressions if isinstance(one, exp.Alias)}
        used = {column.name.lower() for one in select.expressions for column in one.find_all(exp.Column)}
        for one in select.args["group"].expressions if select.args.get("group") else ():
            name = one.name.lower() if isinstance(one, exp.Column) and not one.table else ""
            meant = named.get(name)
            is_other = meant is not None and not (isinstance(meant, exp.Column) and meant.name.lower() == name)
            if is_other and name in {*columns, *used}:
                yield source.problem(
                    one,
                    f"'{name}' is a column and another expression",
                    "expected GROUP BY one of them",
                    "use another AS",
                )


def expand_group_names(tree: exp.Expr) -> None:
    """In GROUP BY a name of SELECT means the expression it stands for, which is written there."""
    for select in tree.find_all(exp.Select):
        named = {one.alias.lower(): one.this for one in select.expressions if isinstance(one, exp.Alias)}
        for one in list(select.args["group"].expressions) if select.args.get("group") else ():
            if isinstance(one, exp.Column) and not one.table and one.name.lower() in named:
                one.replace(named[one.name.lower()].copy())


def check(tree: exp.Expr, source: Source) -> Iterator[Problem]:
    for select in tree.find_all(exp.Select):
        yield from _check_grouping(select, source)
    for operation in tree.find_all(exp.SetOperation):
        yield from _check_operands(operation, source)


def _check_grouping(select: exp.Select, source: Source) -> Iterator[Problem]:
    """SQLite would take a column of any row; BigQuery refuses one that is neither grouped nor aggregated."""
    group = select.args.get("group")
    clauses = [*select.expressions]
    clauses += [select.args[part] for part in ("having", "qualify", "order") if select.args.get(part)]
    if group is None and select.args.get("having") is None and not any(map(_aggregates, select.expressions)):
        return
    sources = {one.alias_or_name for one in _sources(select)}
    grouped = list(group.expressions) if group is not None else []
    for clause in clauses:
        for column in _ungrouped(clause, grouped, sources):
            yield source.problem(
                column, f"column '{column.name}' is neither grouped nor aggregated", "expected it in GROUP BY"
            )


def _aggregates(node: exp.Expr) -> bool:
    if isinstance(node, (exp.Query, exp.Window)):
        return False
    return isinstance(node, exp.AggFunc) or any(_aggregates(child) for child in node.iter_expressions())


def _ungrouped(node: exp.Expr, grouped: list[exp.Expr], sources: set[str]) -> Iterator[exp.Column]:
    if node in grouped:
        return
    if isinstance(node, exp.Column):
        if node.table in sources:
            yield node
    elif not isinstance(node, exp.AggFunc) or isinstance(node.parent, exp.Window):
        for child in node.iter_expressions():
            yield from _ungrouped(child, grouped, sources)


def _sources(select: exp.Select) -> Iterator[exp.Expr]:
    if select.args.get("from_") is not None:
        yield select.args["from_"].this
    yield from (join.this for join in select.args.get("joins") or ())


def _check_operands(operation: exp.SetOperation, source: Source) -> Iterator[Problem]:
    left, right = operation.left.selects, operation.right.selects
    if len(left) != len(right):
        yield source.problem(operation, f"{len(left)} columns and {len(right)} in one UNION", "expected as many")
        return
    for one, other in zip(left, right, strict=True):
        first, second = kinds.of(one), kinds.of(other)
        if first is not None and second is not None and kinds.family(first) != kinds.family(second):
            yield source.problem(other, f"{first} and {second} in one column", "expected one kind", "use CAST")
    for ordered in operation.args["order"].expressions if operation.args.get("order") else ():
        if not isinstance(ordered.this, (exp.Column, exp.Literal)):
            yield source.problem(ordered, "a UNION in the order of an expression", "expected names of its columns")


def unnest(tree: exp.Expr) -> None:
    """Elements of an array come from json_each, where they are called `value` and their positions `key`."""
    for node in list(tree.find_all(exp.Unnest)):
        select = node.find_ancestor(exp.Select)
        if select is None or isinstance(node.parent, exp.In):
            continue
        alias, offset = node.args["alias"], node.args.get("offset")
        elements = {column.name: "value" for column in alias.columns}
        if isinstance(offset, exp.Identifier):
            elements[offset.name] = "key"
        for column in list(select.find_all(exp.Column)):
            if _belongs(column, node) and column.name in elements:
                column.set("this", exp.to_identifier(elements[column.name]))
        if isinstance(node.parent, exp.Join) and node.parent.side and node.parent.args.get("on") is None:
            node.parent.set("on", exp.true())
        node.replace(exp.Table(this=rewriting.each(node), alias=exp.TableAlias(this=alias.this)))


def _belongs(column: exp.Column, node: exp.Unnest) -> bool:
    """Whether the nearest source of the column's table name is the array."""
    select = column.find_ancestor(exp.Select)
    while select is not None:
        for one in _sources(select):
            if one.alias_or_name == column.table:
                return one is node
        select = select.parent_select if isinstance(select.parent_select, exp.Select) else None
    return False


def nest_limits(tree: exp.Expr, source: Source) -> Iterator[Problem]:
    """A query with QUALIFY becomes one around another; what comes after QUALIFY belongs to the outer one."""
    for select in list(tree.find_all(exp.Select)):
        later = {name: select.args[name] for name in ("order", "limit", "offset", "distinct") if select.args.get(name)}
        if select.args.get("qualify") is None or not later:
            continue
        for name in later:
            select.set(name, None)
        names = {one.unalias(): one.alias_or_name for one in select.expressions}
        for ordered in later["order"].expressions if "order" in later else ():
            if ordered.this in names:
                ordered.set("this", exp.column(names[ordered.this], quoted=True))
            elif not isinstance(ordered.this, exp.Literal) and not (
                isinstance(ordered.this, exp.Column) and not ordered.this.table
            ):
                yield source.problem(ordered, "QUALIFY in the order of what is not selected", "expected a column of it")
        with_ = select.args.get("with_")
        select.set("with_", None)
        outer = exp.Select(expressions=[exp.column(one.alias_or_name, quoted=True) for one in select.expressions])
        select.replace(outer)
        outer.set("from_", exp.From(this=exp.Subquery(this=select, alias=exp.TableAlias(this=exp.to_identifier("_q")))))
        for name, part in (*later.items(), ("with_", with_)):
            outer.set(name, part)


def unwrap_operands(tree: exp.Expr) -> None:
    """SQLite takes no parentheses around one side of a UNION."""
    for operation in list(tree.find_all(exp.SetOperation)):
        for side in (operation.this, operation.expression):
            if isinstance(side, exp.Subquery):
                inner = exp.Subquery(this=side.this, alias=exp.TableAlias(this=exp.to_identifier("_s")))
                side.replace(exp.Select(expressions=[exp.Star()], from_=exp.From(this=inner)))
