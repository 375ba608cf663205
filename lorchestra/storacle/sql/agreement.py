"""Whether values that meet in a query are of one kind.

BigQuery refuses to compare a text with a number; SQLite would, and give what nobody asked for. Texts written in the
query become times where they meet times, as in BigQuery.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlglot import exp

from lorchestra.errors import Problem
from lorchestra.storacle.sql import kinds, times
from lorchestra.storacle.sql.kinds import Kind
from lorchestra.storacle.sql.refusals import Source, name_of

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Nullif)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.SafeDivide, exp.Neg)
_TEXTUAL = (exp.DPipe, exp.Concat, exp.Like, exp.Lower, exp.Upper, exp.Trim, exp.Substring, exp.StartsWith,
            exp.EndsWith, exp.Length, exp.Replace, exp.StrPosition, exp.RegexpLike, exp.RegexpExtract,
            exp.RegexpReplace, exp.Split, exp.StrToTime, exp.StrToDate)  # fmt: skip
_TIMES = (exp.TimestampTrunc, exp.TimestampDiff, exp.TimestampAdd, exp.TimestampSub, exp.UnixSeconds, exp.UnixMillis,
          exp.TsOrDsToTimestamp)  # fmt: skip
_DATES = (exp.DateTrunc, exp.DateDiff, exp.DateAdd, exp.DateSub, exp.TsOrDsToDate)


def settle(tree: exp.Expr, source: Source) -> Iterator[Problem]:
    """Check the kinds of a query whose expressions are annotated, and make times of texts in it."""
    for node in list(tree.walk()):
        meeting = tuple(_meeting(node))
        if meeting:
            yield from _check_meeting(node, meeting, source)
        yield from _check_arguments(node, source)


def _meeting(node: exp.Expr) -> Iterator[exp.Expr]:
    match node:
        case _ if isinstance(node, _COMPARISONS):
            yield from (node.this, node.expression)
        case exp.Between():
            yield from (node.this, node.args["low"], node.args["high"])
        case exp.In():
            yield from (node.this, *node.expressions)
        case exp.Coalesce() | exp.Greatest() | exp.Least():
            yield from (node.this, *node.expressions)
        case exp.If() if not isinstance(node.parent, exp.Case):
            yield from filter(None, (node.args.get("true"), node.args.get("false")))
        case exp.Case():
            yield from (branch.args["true"] for branch in node.args["ifs"])
            if node.args.get("default") is not None:
                yield node.args["default"]
        case _:
            return


def _check_meeting(node: exp.Expr, meeting: Iterable[exp.Expr], source: Source) -> Iterator[Problem]:
    meeting = tuple(meeting)
    known = {kind for one in meeting if (kind := kinds.of(one)) is not None}
    for time in known & {Kind.TIMESTAMP, Kind.DATE}:
        for one in meeting:
            if _is_text(one):
                yield from fold(one, time, source)
        known = {kind for one in meeting if (kind := kinds.of(one)) is not None}
    if len({kinds.family(kind) for kind in known}) > 1:
        yield source.problem(
            node, f"{' and '.join(sorted(known))} in one {_said(node)}", "expected values of one kind", "use CAST"
        )
    elif Kind.JSON in known and isinstance(node, _COMPARISONS):
        yield source.problem(node, "JSON in a comparison", "expected JSON_VALUE of it")


def _said(node: exp.Expr) -> str:
    return "comparison" if isinstance(node, (*_COMPARISONS, exp.Between, exp.In)) else name_of(node)


def _check_arguments(node: exp.Expr, source: Source) -> Iterator[Problem]:
    if isinstance(node, _ARITHMETIC):
        yield from _expect(node, (node.this, node.args.get("expression")), kinds.NUMBERS, source)
    elif isinstance(node, _TEXTUAL):
        operands = node.expressions if isinstance(node, exp.Concat) else (node.this, node.args.get("expression"))
        yield from _expect(node, operands, frozenset({Kind.STRING}), source)
    elif isinstance(node, (*_TIMES, *_DATES)):
        kind = Kind.TIMESTAMP if isinstance(node, _TIMES) else Kind.DATE
        other = node.args.get("expression") if isinstance(node, (exp.DateDiff, exp.TimestampDiff)) else None
        for operand in (node.this, other):
            if operand is not None and _is_text(operand):
                yield from fold(operand, kind, source)
        yield from _expect(
            node, (node.this, node.args.get("expression") if other is not None else None), frozenset({kind}), source
        )


def _expect(
    node: exp.Expr, operands: Iterable[exp.Expr | None], expected: frozenset[Kind], source: Source
) -> Iterator[Problem]:
    for operand in operands:
        kind = None if operand is None else kinds.of(operand)
        if kind is not None and kind not in expected:
            yield source.problem(operand, f"{kind} in {name_of(node)}", f"expected {' or '.join(sorted(expected))}")


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_string


def fold(node: exp.Expr, kind: Kind, source: Source) -> Iterator[Problem]:
    """Write a text of the query in the one form of the kind."""
    try:
        text = times.timestamp(node.name) if kind is Kind.TIMESTAMP else times.to_date(node.name)
    except (ValueError, OverflowError):
        yield source.problem(node.parent, f"a text that is no {kind}", "expected such as '2026-01-31'")
        return
    node.set("this", text)
    node.type = exp.DataType.build("TIMESTAMPTZ" if kind is Kind.TIMESTAMP else "DATE")
