"""A query of BigQuery as a query of SQLite: construct by construct, from the inside out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlglot import exp

from lorchestra.errors import DefinitionError, Problem
from lorchestra.storacle.sql import kinds, patterns, time_rules
from lorchestra.storacle.sql.calls import Rule, call, calls, literal, native
from lorchestra.storacle.sql.kinds import Kind
from lorchestra.storacle.sql.refusals import Source, name_of


def rewrite(tree: exp.Expr, source: Source) -> list[Problem]:
    """Change the tree, whose expressions are annotated, in place; the mistakes found on the way."""
    problems: list[Problem] = []
    for node in reversed(list(tree.walk(bfs=False))):
        rule = _RULES.get(type(node))
        if rule is None:
            continue
        try:
            new = rule(node, source)
        except DefinitionError as refused:
            problems.extend(refused.problems)
            continue
        if new is not node:
            new.type = node.type
            node.replace(new)
    return problems


# JSON and arrays


def _json(name: str) -> Rule:
    def rule(node: Any, source: Source) -> exp.Expr:
        path = node.expression
        if not isinstance(path, exp.JSONPath):
            raise source.refused(node, f"{name_of(node)} with a path that is computed", "expected a path in quotes")
        steps = [part.this for part in path.expressions[1:]]
        if any(isinstance(step, int) and step < 0 for step in steps):
            raise source.refused(node, f"{name_of(node)} with a position from the end", "expected one from 0")
        if not all(isinstance(step, (str, int)) for step in steps):
            raise source.refused(node, f"{name_of(node)} with such a path", "expected names and positions only")
        return call(name, node.this, json.dumps(steps))

    return rule


def _array(node: exp.Array, source: Source) -> exp.Expr:
    if any(isinstance(one, exp.Query) for one in node.expressions):
        raise source.refused(node, "ARRAY of a query is not supported", "expected the elements")
    return native("json_array", *node.expressions)


def _in(node: exp.In, source: Source) -> exp.Expr:
    unnest = node.args.get("unnest")
    if unnest is None:
        return node
    elements = exp.Select(expressions=[exp.column("value")]).from_(exp.Table(this=each(unnest)))
    return exp.In(this=node.this, query=exp.Subquery(this=elements))


def each(unnest: exp.Unnest) -> exp.Expr:
    return native("json_each", *unnest.expressions)


# Casts


_CASTS: Mapping[Kind, Collection[Kind]] = {
    Kind.STRING: (Kind.STRING, Kind.INT64, Kind.BOOL, Kind.TIMESTAMP, Kind.DATE),
    Kind.INT64: (Kind.STRING, Kind.INT64, Kind.FLOAT64, Kind.BOOL),
    Kind.FLOAT64: (Kind.STRING, Kind.INT64, Kind.FLOAT64),
    Kind.BOOL: (Kind.STRING, Kind.INT64, Kind.BOOL),
    Kind.TIMESTAMP: (Kind.STRING, Kind.DATE, Kind.TIMESTAMP),
    Kind.DATE: (Kind.STRING, Kind.TIMESTAMP, Kind.DATE),
}


def _cast(node: exp.Cast, source: Source) -> exp.Expr:
    target = kinds.of_type(node.to)
    assert target is not None, "the allow-list knows every target"
    return _converted(node, target, source, is_safe=isinstance(node, exp.TryCast))


def _converted(node: Any, target: Kind, source: Source, *, is_safe: bool = False) -> exp.Expr:
    inner: exp.Expr = node.this
    kind = kinds.of(inner)
    if kind is not None and kind not in _CASTS[target]:
        hint = "use ROUND and CAST to INT64 before" if kind is Kind.FLOAT64 else None
        raise source.refused(node, f"{kind} as {target} is not supported", "expected another kind", hint)
    if kind is target:
        return inner
    match target, kind:
        case Kind.STRING, Kind.BOOL:
            yes = exp.If(this=inner, true=exp.Literal.string("true"))
            no = exp.If(this=exp.not_(inner.copy()), true=exp.Literal.string("false"))
            return exp.Case(ifs=[yes, no])
        case Kind.STRING, Kind.TIMESTAMP:
            return call("timestamp_text", inner)
        case Kind.STRING, Kind.DATE:
            return inner
        case Kind.DATE, Kind.TIMESTAMP:
            return native("substr", inner, exp.Literal.number(1), exp.Literal.number(10))
        case Kind.INT64, Kind.BOOL:
            return inner
        case _:
            return call(f"{'safe_' if is_safe else ''}{target.lower()}", inner)


def _date(node: exp.Date, source: Source) -> exp.Expr:
    if kinds.of(node.this) not in (None, Kind.TIMESTAMP, Kind.DATE):
        raise source.refused(node, f"DATE of {kinds.of(node.this)}", "expected TIMESTAMP", "use CAST or PARSE_DATE")
    return _converted(node, Kind.DATE, source)


def _timestamp(node: exp.Timestamp, source: Source) -> exp.Expr:
    return _converted(node, Kind.TIMESTAMP, source)


# Texts


def _pattern(node: Any, source: Source) -> str:
    try:
        return patterns.translate(literal(node.expression, node, source, "pattern"))
    except patterns.PatternError as error:
        raise source.refused(node, f"{name_of(node)} with {error}", "expected a pattern of RE2") from None


def _regexp_extract(node: exp.RegexpExtract, source: Source) -> exp.Expr:
    pattern = _pattern(node, source)
    if patterns.groups(pattern) > 1:
        raise source.refused(node, "REGEXP_EXTRACT with several groups", "expected one, or none", "use (?:...)")
    return call("regexp_extract", node.this, pattern)


def _regexp_replace(node: exp.RegexpReplace, source: Source) -> exp.Expr:
    pattern = _pattern(node, source)
    rewrite = literal(node.args.get("replacement"), node, source, "replacement")
    try:
        patterns.check_rewrite(rewrite, pattern)
    except patterns.PatternError as error:
        raise source.refused(node, f"REGEXP_REPLACE with {error}", r"expected \0 to \9 and \\ only") from None
    return call("regexp_replace", node.this, pattern, rewrite)


def _like(node: exp.Like, source: Source) -> exp.Expr:
    found = call("like", node.this, node.expression)
    return exp.Not(this=found) if node.args.get("negate") else found


def _trim(node: exp.Trim, source: Source) -> exp.Expr:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "", "trim")
    return call(name, node.this, node.args.get("expression"))


def _concat(node: exp.Concat, source: Source) -> exp.Expr:
    first, *rest = node.expressions
    joined: exp.Expr = exp.Paren(this=first)
    for one in rest:
        joined = exp.DPipe(this=joined, expression=exp.Paren(this=one))
    return exp.Paren(this=joined)


# Aggregates


def _string_agg(node: exp.GroupConcat, source: Source) -> exp.Expr:
    order: exp.Order = node.this
    value, is_distinct = order.this, isinstance(order.this, exp.Distinct)
    if is_distinct:
        (value,) = value.expressions
    keys = [ordered.this for ordered in order.expressions]
    if is_distinct and keys != [value]:
        raise source.refused(node, "STRING_AGG of DISTINCT in another order", "expected ORDER BY what is aggregated")
    for ordered in order.expressions:
        if bool(ordered.args.get("nulls_first")) is bool(ordered.args.get("desc")):
            raise source.refused(node, "STRING_AGG with NULLS in ORDER BY", "expected ASC or DESC only")
    separator = node.args.get("separator")
    directions = "".join("d" if ordered.args.get("desc") else "a" for ordered in order.expressions)
    text = "," if separator is None else literal(separator, node, source, "separator")
    return call("string_agg", value, text, int(is_distinct), directions, *(key.copy() for key in keys))


def _count_if(node: exp.CountIf, source: Source) -> exp.Expr:
    return exp.Count(this=exp.Case(ifs=[exp.If(this=node.this, true=exp.Literal.number(1))]))


def _extreme(name: str) -> Rule:
    def rule(node: Any, source: Source) -> exp.Expr:
        # Of one value, these names would be aggregates to SQLite.
        return native(name, node.this, *node.expressions) if node.expressions else node.this

    return rule


_RULES: Mapping[type[exp.Expr], Rule] = {
    **time_rules.RULES,
    exp.JSONExtractScalar: _json("json_value"),
    exp.JSONExtract: _json("json_query"),
    exp.JSONExtractArray: _json("json_query_array"),
    exp.JSONValueArray: _json("json_value_array"),
    exp.Array: _array,
    exp.ArraySize: lambda node, source: native("json_array_length", node.this),
    exp.Split: calls("split", "this", "expression"),
    exp.In: _in,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Date: _date,
    exp.Timestamp: _timestamp,
    exp.RegexpLike: lambda node, source: call("regexp_contains", node.this, _pattern(node, source)),
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpReplace: _regexp_replace,
    exp.Like: _like,
    exp.Lower: calls("lower", "this"),
    exp.Upper: calls("upper", "this"),
    exp.Trim: _trim,
    exp.Substring: calls("substr", "this", "start", "length"),
    exp.StartsWith: calls("starts_with", "this", "expression"),
    exp.EndsWith: calls("ends_with", "this", "expression"),
    exp.Length: calls("length", "this"),
    exp.StrPosition: lambda node, source: native("instr", node.this, node.args["substr"]),
    exp.Concat: _concat,
    exp.Div: calls("divide", "this", "expression"),
    exp.IntDiv: calls("div", "this", "expression"),
    exp.Mod: calls("mod", "this", "expression"),
    exp.SafeDivide: calls("safe_divide", "this", "expression"),
    exp.Round: calls("round", "this", "decimals"),
    exp.Floor: calls("floor", "this"),
    exp.Ceil: calls("ceil", "this"),
    exp.Greatest: _extreme("max"),
    exp.Least: _extreme("min"),
    exp.GroupConcat: _string_agg,
    exp.CountIf: _count_if,
    exp.LogicalOr: lambda node, source: exp.Max(this=node.this),
    exp.LogicalAnd: lambda node, source: exp.Min(this=node.this),
}
