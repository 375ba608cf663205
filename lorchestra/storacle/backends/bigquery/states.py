"""Cursors as SQL: compared as the texts that they were written as, and put where they are."""

from __future__ import annotations

from typing import Any

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.bigquery import scripts
from lorchestra.storacle.backends.bigquery.merging import CountsSql
from lorchestra.storacle.backends.bigquery.scripts import Script
from lorchestra.storacle.methods.state import Change, StatePut
from lorchestra.storacle.plain_values import Kind, kind_of

CANONICAL = "_canonical"
"""The column that has the text; in `value` BigQuery may write a number otherwise."""
STORED, CHANGE = "v_stored", "v_change"
"""Variables of every script."""


def put(script: Script, table: str, params: StatePut, number: int) -> CountsSql:
    """As `methods.state.decide` has it, or the script stops with the number of the op."""
    key = script.bind("STRING", params.key)
    value = script.bind("STRING", canonical_bytes(params.value).decode())
    expected = script.bind("STRING", canonical_bytes(params.expected).decode())
    ordered = ""
    if params.never_back:
        is_comparable, is_beyond = _compared(script, params.value)
        ordered = f"WHEN {is_comparable} THEN IF({is_beyond}, 'stored', 'kept') WHEN {STORED} = 'null' THEN 'stored' "
    script.add(
        f"SET {STORED} = COALESCE((SELECT {CANONICAL} FROM {table} WHERE key = {key}), 'null')",
        f"SET {CHANGE} = CASE WHEN {STORED} = {value} THEN 'unchanged' {ordered}"
        f"WHEN {STORED} != {expected} THEN 'conflict' ELSE 'stored' END",
        scripts.stop_if(f"{CHANGE} = 'conflict'", "expected", op=number),
        f"IF {CHANGE} = 'stored' THEN MERGE {table} AS t USING (SELECT {key} AS key) AS s ON t.key = s.key "
        f"WHEN MATCHED THEN UPDATE SET value = {parsed(value)}, {CANONICAL} = {value} "
        f"WHEN NOT MATCHED THEN INSERT (key, value, {CANONICAL}) VALUES (s.key, {parsed(value)}, {value}); END IF",
    )
    return {change.value: f"IF({CHANGE} = '{change.value}', 1, 0)" for change in Change}


def parsed(text: str) -> str:
    return f"PARSE_JSON({text}, wide_number_mode=>'round')"


def _compared(script: Script, value: Any) -> tuple[str, str]:
    """Whether what is stored is of the kind of the value, and whether the value is beyond it."""
    match kind_of(value):
        case Kind.BOOL:
            return f"{STORED} IN ('true', 'false')", f"{script.bind('BOOL', value)} > ({STORED} = 'true')"
        case Kind.NUMBER:
            stored = f"SAFE_CAST({STORED} AS FLOAT64)"
            return f"{stored} IS NOT NULL", f"{script.bind('FLOAT64', value)} > {stored}"
        case _:
            is_text = f"STARTS_WITH({STORED}, '\"')"
            return is_text, f"{script.bind('STRING', value)} > JSON_VALUE({STORED}, '$')"
