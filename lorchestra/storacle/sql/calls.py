"""What rules of rewriting are made of: calls of our functions, and what must be written in the query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from lorchestra.storacle.sql.functions import PREFIX
from lorchestra.storacle.sql.refusals import Source, name_of

Rule = Callable[[Any, Source], exp.Expr]


def call(name: str, *arguments: exp.Expr | str | int | None) -> exp.Anonymous:
    """A call of one of our functions."""
    return exp.Anonymous(this=PREFIX + name, expressions=[_expression(one) for one in arguments if one is not None])


def native(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _expression(value: exp.Expr | str | int) -> exp.Expr:
    if isinstance(value, str):
        return exp.Literal.string(value)
    return exp.Literal.number(value) if isinstance(value, int) else value


def calls(name: str, *parts: str) -> Rule:
    return lambda node, source: call(name, *(node.args.get(part) for part in parts))


def literal(node: exp.Expr | None, owner: exp.Expr, source: Source, what: str) -> str:
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise source.refused(owner, f"{name_of(owner)} with a {what} that is computed", f"expected a {what} in quotes")
    return str(node.this)


def unwrapped(node: Any, source: Source) -> exp.Expr:
    inner: exp.Expr = node.this
    return inner
