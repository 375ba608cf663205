"""How times, dates and their formats are rewritten for SQLite."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlglot import exp

from lorchestra.storacle.sql import kinds, time_formats, times
from lorchestra.storacle.sql.calls import Rule, call, literal, unwrapped
from lorchestra.storacle.sql.kinds import Kind
from lorchestra.storacle.sql.refusals import Source, name_of


def _unit(unit: exp.Expr, owner: exp.Expr, known: Collection[str], source: Source) -> str:
    named = f"WEEK({unit.this.name.upper()})" if isinstance(unit, exp.WeekStart) else unit.name.upper()
    if named not in known:
        raise source.refused(owner, f"{name_of(owner)} with {named} is not supported", f"expected {', '.join(known)}")
    return named


def _with_unit(name: str, known: Collection[str], *parts: str) -> Rule:
    def rule(node: Any, source: Source) -> exp.Expr:
        return call(name, *(node.args[part] for part in parts), _unit(node.args["unit"], node, known, source))

    return rule


def _moved(name: str, known: Collection[str], sign: int) -> Rule:
    def rule(node: Any, source: Source) -> exp.Expr:
        number = node.expression
        if isinstance(number, exp.Literal):
            try:
                number = exp.Literal.number(int(number.name))
            except ValueError:
                raise source.refused(node, "an INTERVAL that is no whole number", "expected such as 7 DAY") from None
        number = exp.Neg(this=exp.Paren(this=number)) if sign < 0 else number
        return call(name, node.this, number, _unit(node.args["unit"], node, known, source))

    return rule


def _extract(node: exp.Extract, source: Source) -> exp.Expr:
    part = _unit(node.this, node, times.EXTRACTS.keys(), source)
    kind = kinds.of(node.expression)
    if kind not in (None, Kind.TIMESTAMP, Kind.DATE) or (kind is Kind.DATE and part in times.TIME_EXTRACTS):
        raise source.refused(node, f"EXTRACT of {part} from {kind}", "expected TIMESTAMP, or DATE for parts of a date")
    return call("extract", node.expression, part)


def _form(node: Any, known: Mapping[str, object], source: Source) -> str:
    form = literal(node.args.get("format"), node, source, "format")
    try:
        time_formats.check(form, known)
    except time_formats.FormatError as error:
        raise source.refused(node, f"{name_of(node)} with {error}", f"expected %{', %'.join(known)}") from None
    return form


def _parse(name: str) -> Rule:
    def rule(node: Any, source: Source) -> exp.Expr:
        is_safe = isinstance(node.parent, exp.SafeFunc)
        return call(f"{'safe_' if is_safe else ''}{name}", _form(node, time_formats.READERS, source), node.this)

    return rule


def _format(node: exp.TimeToStr, source: Source) -> exp.Expr:
    return call("format_time", node.this, _form(node, time_formats.WRITERS, source))


def _from_unix(node: exp.UnixToTime, source: Source) -> exp.Expr:
    scale = node.args.get("scale")
    return call("from_unix", node.this, "MILLISECOND" if scale is not None and scale.name == "3" else "SECOND")


RULES: Mapping[type[exp.Expr], Rule] = {
    exp.TsOrDsToTimestamp: unwrapped,
    exp.TsOrDsToDate: unwrapped,
    exp.SafeFunc: unwrapped,
    exp.StrToTime: _parse("parse_timestamp"),
    exp.StrToDate: _parse("parse_date"),
    exp.TimeToStr: _format,
    exp.TimestampTrunc: _with_unit("timestamp_trunc", (*times.UNITS, *times.WEEKS, *times.MONTHS), "this"),
    exp.DateTrunc: _with_unit("date_trunc", sorted(times.DATE_PARTS), "this"),
    exp.DateDiff: _with_unit("date_diff", sorted(times.DATE_PARTS), "this", "expression"),
    exp.TimestampDiff: _with_unit("timestamp_diff", tuple(times.UNITS), "this", "expression"),
    exp.TimestampAdd: _moved("timestamp_add", tuple(times.UNITS), 1),
    exp.TimestampSub: _moved("timestamp_add", tuple(times.UNITS), -1),
    exp.DateAdd: _moved("date_add", ("DAY", "WEEK", *times.MONTHS), 1),
    exp.DateSub: _moved("date_add", ("DAY", "WEEK", *times.MONTHS), -1),
    exp.Extract: _extract,
    exp.UnixSeconds: lambda node, source: call("unix", node.this, "SECOND"),
    exp.UnixMillis: lambda node, source: call("unix", node.this, "MILLISECOND"),
    exp.UnixToTime: _from_unix,
}
