"""Assertions as SQL: how many rows there are, and whether that will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from lorchestra.errors import Path
from lorchestra.storacle.backends.bigquery import conditions
from lorchestra.storacle.backends.bigquery.merging import FOUND
from lorchestra.storacle.backends.bigquery.names import quoted
from lorchestra.storacle.backends.bigquery.scripts import Script
from lorchestra.storacle.backends.bigquery.sources import Source
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.fields import Field
from lorchestra.storacle.methods.asserts import AssertExists, AssertRows, AssertUnique
from lorchestra.storacle.service import RpcError

Assertion: TypeAlias = AssertRows | AssertExists | AssertUnique


DIFFERENT = "v_different"


def questions(source: Source | None, params: Assertion, script: Script, at: Path) -> Mapping[str, str]:
    """Queries for the variables of a script: how many rows match and, where it matters, how many different ones."""
    if source is None:
        return {FOUND: "SELECT 0", DIFFERENT: "SELECT 0"}
    held = conditions.clause(source, params.where, script, (*at, "where"))
    compared = []
    if isinstance(params, AssertUnique):
        for column in params.columns:
            expression = source.expression(Field(column, column))
            if expression is None:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "columns"))
            compared.append(f"{expression.json or expression.sql} AS {quoted(column)}")
            held.append(f"NOT ({expression.is_null})")
    rows = f"FROM {source.physical.sql} AS t{conditions.where(held)}"
    asked = {FOUND: f"SELECT COUNT(*) {rows}"}
    if compared:
        asked[DIFFERENT] = f"SELECT COUNT(DISTINCT TO_JSON_STRING(STRUCT({', '.join(compared)}))) {rows}"
    return asked


def holds(params: Assertion) -> str:
    match params:
        case AssertUnique():
            return f"{FOUND} = {DIFFERENT}"
        case AssertExists():
            return f"{FOUND} > 0"
        case AssertRows(count=int(count)):
            return f"{FOUND} = {count}"
        case _:
            low, high = params.min or 0, params.max
            return f"{FOUND} >= {low}" + ("" if high is None else f" AND {FOUND} <= {high}")
