"""What of BigQuery SQL is carried out. What is not named here is refused, parts of a construct as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sqlglot import exp

from lorchestra.errors import Problem, did_you_mean
from lorchestra.storacle.sql import kinds
from lorchestra.storacle.sql.refusals import Source, name_of

_BINARY = "this expression"
_SET = "with_ this expression distinct order limit offset"

# The parts of each construct that are understood.
_PARTS: Mapping[str, str] = {
    "Select": "with_ expressions distinct from_ joins where group having qualify order limit offset",
    "Union": _SET, "Except": _SET, "Intersect": _SET,
    "Subquery": "this alias", "With": "expressions", "CTE": "this alias", "From": "this",
    "Join": "this on side kind using", "Table": "this alias db catalog", "TableAlias": "this columns",
    "Unnest": "expressions alias offset", "Where": "this", "Group": "expressions", "Having": "this",
    "Qualify": "this", "Order": "this expressions", "Ordered": "this desc nulls_first", "Limit": "this expression",
    "Offset": "this expression", "Distinct": "expressions", "Window": "this partition_by order spec over",
    "WindowSpec": "kind start start_side end end_side", "Star": "except_ replace", "Alias": "this alias",
    "Column": "this table", "Identifier": "this quoted", "Var": "this", "WeekStart": "this", "Paren": "this",
    "Literal": "this is_string", "RawString": "this", "Boolean": "this", "Null": "", "Parameter": "this",
    "Array": "expressions struct_name_inheritance value_constructor bracket_notation",
    "DataType": "this nested", "Cast": "this to", "TryCast": "this to safe", "SafeFunc": "this",
    "And": _BINARY, "Or": _BINARY, "Not": "this", "EQ": _BINARY, "NEQ": _BINARY, "GT": _BINARY, "GTE": _BINARY,
    "LT": _BINARY, "LTE": _BINARY, "Is": "this expression negate", "In": "this expressions query unnest",
    "Between": "this low high", "Like": "this expression negate", "Exists": "this", "Neg": "this",
    "Add": _BINARY, "Sub": _BINARY, "Mul": _BINARY, "Div": "this expression typed safe", "IntDiv": _BINARY,
    "Mod": _BINARY, "SafeDivide": _BINARY, "DPipe": "this expression safe", "Case": "this ifs default",
    "If": "this true false", "Coalesce": "this expressions", "Nullif": _BINARY,
    "Greatest": "this expressions ignore_nulls", "Least": "this expressions ignore_nulls",
    "JSONExtractScalar": "this expression scalar_only", "JSONExtract": _BINARY, "JSONExtractArray": _BINARY,
    "JSONValueArray": _BINARY, "JSONPath": "expressions", "JSONPathRoot": "", "JSONPathKey": "this quoted",
    "JSONPathSubscript": "this", "ArraySize": "this", "Split": _BINARY,
    "StrToTime": "this format default_year", "StrToDate": "this format default_year", "TimeToStr": "this format",
    "TsOrDsToTimestamp": "this", "TsOrDsToDate": "this", "TimestampTrunc": "this unit", "DateTrunc": "this unit",
    "DateDiff": "this expression unit date_part_boundary", "TimestampDiff": "this expression unit",
    "TimestampAdd": "this expression unit", "TimestampSub": "this expression unit",
    "DateAdd": "this expression unit", "DateSub": "this expression unit", "Date": "this",
    "Timestamp": "this with_tz", "Extract": _BINARY, "UnixSeconds": "this", "UnixMillis": "this",
    "UnixToTime": "this scale", "RegexpLike": _BINARY,
    "RegexpExtract": "this expression group null_if_pos_overflow null_if_no_match empty_if_group_missing",
    "RegexpReplace": "this expression replacement", "Lower": "this", "Upper": "this",
    "Trim": "this expression position", "Concat": "expressions safe coalesce", "Substring": "this start length",
    "StartsWith": _BINARY, "EndsWith": _BINARY, "Length": "this binary", "Replace": "this expression replacement",
    "StrPosition": "this substr", "Round": "this decimals", "Floor": "this", "Ceil": "this", "Abs": "this",
    "GroupConcat": "this separator", "CountIf": "this", "Count": "this big_int", "Sum": "this", "Avg": "this",
    "Min": "this", "Max": "this", "LogicalOr": "this", "LogicalAnd": "this", "RowNumber": "", "Rank": "",
    "DenseRank": "", "Lag": "this offset default", "Lead": "this offset default", "FirstValue": "this",
    "LastValue": "this", "Ntile": "this",
}  # fmt: skip
ALLOWED: Mapping[type[exp.Expr], frozenset[str]] = {
    getattr(exp, name): frozenset(parts.split()) for name, parts in _PARTS.items()
}

# Some names of functions share a construct with others that mean something else, such as JSON_EXTRACT and JSON_QUERY.
_NAMES = """
    ABS ARRAY_LENGTH AVG CEIL CEILING CHARACTER_LENGTH CHAR_LENGTH COALESCE CONCAT COUNT COUNTIF DATE DATE_ADD DATE_DIFF
    DATE_SUB DATE_TRUNC DENSE_RANK DIV ENDS_WITH FIRST_VALUE FLOOR FORMAT_DATE FORMAT_TIMESTAMP GREATEST IFNULL
    JSON_QUERY JSON_QUERY_ARRAY JSON_VALUE JSON_VALUE_ARRAY LAG LAST_VALUE LEAD LEAST LENGTH LOGICAL_AND LOGICAL_OR
    LOWER LTRIM MAX MIN MOD NTILE NULLIF PARSE_DATE PARSE_TIMESTAMP RANK REGEXP_CONTAINS REGEXP_EXTRACT REGEXP_REPLACE
    REPLACE ROUND ROW_NUMBER RTRIM SAFE_DIVIDE SPLIT STARTS_WITH STRING_AGG STRPOS SUBSTR SUBSTRING SUM TIMESTAMP
    TIMESTAMP_ADD TIMESTAMP_DIFF TIMESTAMP_MILLIS TIMESTAMP_SECONDS TIMESTAMP_SUB TIMESTAMP_TRUNC TRIM UNIX_MILLIS
    UNIX_SECONDS UPPER WEEK
"""
FUNCTIONS = frozenset(_NAMES.split())
_WINDOWED: tuple[type[exp.Expr], ...] = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.Ntile,
    exp.Sum, exp.Count, exp.Min, exp.Max, exp.Avg, exp.CountIf, exp.LogicalAnd, exp.LogicalOr,
)  # fmt: skip
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
# Names that compiled queries use themselves.
_RESERVED = re.compile(r"lorch_.*|_[qstw]?\d*", re.IGNORECASE)
_PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_NO_CLOCK = frozenset({"CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_DATETIME", "CURRENT_TIME"})
_EXPECTED = "expected what docs/sql.md lists"


def check(tree: exp.Expr, source: Source) -> Iterator[Problem]:
    """Everything in a query that is not carried out."""
    for node in tree.walk():
        yield from _check(node, source)


def _check(node: exp.Expr, source: Source) -> Iterator[Problem]:
    name = name_of(node)
    parts = ALLOWED.get(type(node))
    if parts is None:
        expected, hint = _EXPECTED, did_you_mean(name, FUNCTIONS) if isinstance(node, exp.Anonymous) else None
        if name in _NO_CLOCK:
            expected = "expected a query that gives the same rows whenever it runs"
            hint = "give the time as a parameter, such as @now"
        yield source.problem(node, f"{name} is not supported", expected, hint)
        return
    named = node.meta.get("bigquery_name")
    if isinstance(node, exp.Func) and named is not None and named not in FUNCTIONS:
        yield source.problem(node, f"{name} is not supported", _EXPECTED, did_you_mean(name, FUNCTIONS))
        return
    for part, value in node.args.items():
        if value and part not in parts:
            yield source.problem(node, f"{name} with {part.strip('_').upper()} is not supported", _EXPECTED)
    yield from _check_meaning(node, name, source)


def _check_meaning(node: exp.Expr, name: str, source: Source) -> Iterator[Problem]:
    match node:
        case exp.Identifier():
            is_project = node.arg_key == "catalog"
            if not (_PROJECT if is_project else _IDENTIFIER).fullmatch(node.name):
                yield source.problem(node, "a name of other characters", "expected letters, digits and underscores")
            elif _RESERVED.fullmatch(node.name):
                yield source.problem(node, "a name that compiled queries use", "expected one that begins otherwise")
        case exp.Literal() | exp.RawString() if "\0" in node.name:
            yield source.problem(node, "a text with a NUL character", "expected a text without")
        case exp.DataType() if kinds.of_type(node) in (None, kinds.Kind.JSON, kinds.Kind.ARRAY):
            yield source.problem(
                node.parent, f"CAST to {node.sql('bigquery')} is not supported",
                "expected INT64, FLOAT64, STRING, BOOL, DATE or TIMESTAMP",
            )  # fmt: skip
        case exp.Join():
            side, kind = node.side, node.kind
            if (side, kind) not in (("", ""), ("", "INNER"), ("", "CROSS"), ("LEFT", ""), ("LEFT", "OUTER")):
                yield source.problem(
                    node, f"{' '.join(filter(None, (side, kind)))} JOIN is not supported",
                    "expected INNER, LEFT or CROSS JOIN",
                )  # fmt: skip
        case exp.Window() if not isinstance(node.this, _WINDOWED):
            yield source.problem(node, f"{name_of(node.this)} OVER a window is not supported", _EXPECTED)
        case exp.SafeFunc() if not isinstance(node.this, (exp.StrToTime, exp.StrToDate)):
            yield source.problem(
                node, "SAFE. before another function is not supported", "expected SAFE.PARSE_TIMESTAMP"
            )
        case exp.Count() if isinstance(node.this, exp.Distinct) and len(node.this.expressions) != 1:
            yield source.problem(node, "COUNT of several columns is not supported", "expected one")
        case exp.Unnest() if len(node.expressions) != 1:
            yield source.problem(node, "UNNEST of several arrays is not supported", "expected one")
        case exp.GroupConcat() if _order_of(node) is None:
            yield source.problem(
                node, "STRING_AGG without ORDER BY", "expected an order, without which every run may give another text"
            )
        case exp.Limit() | exp.Offset() if not isinstance(node.expression, (exp.Literal, exp.Parameter)):
            yield source.problem(node, f"{name} of an expression is not supported", "expected a number or a parameter")
        case _:
            return


def _order_of(node: exp.GroupConcat) -> exp.Order | None:
    return node.this if isinstance(node.this, exp.Order) else None
