"""What is not carried out is refused before anything runs, with its name and its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.errors import DefinitionError
from lorchestra.storacle.sql.compilation import Relation, TableName, compile_select, compile_statement

COLUMNS = {
    "idem_key": "STRING",
    "payload": "JSON",
    "number": "INT64",
    "amount": "FLOAT64",
    "first_seen": "TIMESTAMP",
    "day": "DATE",
}


def resolve(name: TableName) -> Relation | None:
    return Relation("raw__raw_objects", COLUMNS) if (name.dataset, name.table) == ("raw", "raw_objects") else None


def refusal(sql: str) -> str:
    with pytest.raises(DefinitionError) as refused:
        compile_select(sql, tables=resolve, file="sql/x.sql")
    return str(refused.value)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("FARM_FINGERPRINT(idem_key)", "FARM_FINGERPRINT is not supported"),
        ("REGEXP_CONTAIN(idem_key, 'x')", "did you mean 'REGEXP_CONTAINS'?"),
        ("load_extension('x')", "LOAD_EXTENSION is not supported"),
        ("lorch_int64('1')", "LORCH_INT64 is not supported"),
        ("JSON_EXTRACT(payload, '$.a')", "JSON_EXTRACT is not supported"),
        ("JSON_EXTRACT_SCALAR(payload, '$.a')", "JSON_EXTRACT_SCALAR is not supported"),
        ("JSON_VALUE(payload, idem_key)", "a path that is computed"),
        ("JSON_VALUE(payload, '$.a[*]')", "JSON"),
        ("CURRENT_TIMESTAMP()", "the same rows whenever it runs"),
        ("CURRENT_DATE()", "the same rows whenever it runs"),
        ("RAND()", "RAND is not supported"),
        ("GENERATE_UUID()", "is not supported"),
        ("ANY_VALUE(number)", "ANY_VALUE is not supported"),
        ("ARRAY_AGG(number)", "ARRAY_AGG is not supported"),
        ("STRING_AGG(idem_key)", "STRING_AGG without ORDER BY"),
        ("STRING_AGG(DISTINCT idem_key, ',' ORDER BY number)", "in another order"),
        ("STRING_AGG(idem_key, ',' ORDER BY number LIMIT 2)", "STRING_AGG"),
        ("STRING_AGG(idem_key, idem_key ORDER BY number)", "separator"),
        ("COUNT(DISTINCT idem_key, number)", "COUNT"),
        ("JSON_QUERY_ARRAY(payload, '$.a')", "an ARRAY as a result"),
        ("SPLIT(idem_key, ',')", "an ARRAY as a result"),
        ("STRUCT(1 AS a)", "STRUCT is not supported"),
        ("ARRAY(SELECT 1)", "ARRAY of a query"),
        ("CAST(idem_key AS NUMERIC)", "CAST to NUMERIC"),
        ("CAST(idem_key AS DATETIME)", "CAST to DATETIME"),
        ("CAST(idem_key AS BYTES)", "CAST to BYTES"),
        ("CAST(amount AS STRING)", "FLOAT64 as STRING"),
        ("CAST(first_seen AS INT64)", "TIMESTAMP as INT64"),
        ("CAST(idem_key AS STRING FORMAT 'x')", "CAST with FORMAT"),
        ("DATE(first_seen, 'Europe/Berlin')", "DATE with ZONE"),
        ("TIMESTAMP_TRUNC(first_seen, DAY, 'UTC')", "TIMESTAMP_TRUNC with ZONE"),
        ("TIMESTAMP_TRUNC(idem_key, DAY)", "STRING in TIMESTAMP_TRUNC; expected TIMESTAMP"),
        ("TIMESTAMP_DIFF(first_seen, first_seen, MONTH)", "TIMESTAMP_DIFF with MONTH"),
        ("DATE_DIFF(first_seen, day, DAY)", "TIMESTAMP in DATE_DIFF; expected DATE"),
        ("EXTRACT(HOUR FROM day)", "EXTRACT of HOUR from DATE"),
        ("EXTRACT(NANOSECOND FROM first_seen)", "EXTRACT with NANOSECOND"),
        ("FORMAT_TIMESTAMP('%Q', first_seen)", "the format element '%Q'"),
        ("PARSE_TIMESTAMP('%Z', idem_key)", "the format element '%Z'"),
        ("PARSE_TIMESTAMP('%Y %Y', idem_key)", "a format element twice"),
        ("PARSE_TIMESTAMP(idem_key, idem_key)", "a format that is computed"),
        ("SAFE.SUBSTR(idem_key, 1, -1)", "SAFE."),
        (r"REGEXP_CONTAINS(idem_key, r'(?=x)')", "a group that RE2 and Python do not share"),
        (r"REGEXP_CONTAINS(idem_key, r'(a)\1')", "the escape '\\1'"),
        (r"REGEXP_CONTAINS(idem_key, r'\pL')", "the escape '\\p'"),
        (r"REGEXP_CONTAINS(idem_key, '[[:alpha:]]')", "a class inside a class"),
        (r"REGEXP_CONTAINS(idem_key, '(')", "no regular expression"),
        ("REGEXP_CONTAINS(idem_key, idem_key)", "a pattern that is computed"),
        ("REGEXP_EXTRACT(idem_key, '(a)(b)')", "several groups"),
        ("REGEXP_EXTRACT(idem_key, 'a', 1, 2)", "REGEXP_EXTRACT with"),
        (r"REGEXP_REPLACE(idem_key, 'a', r'\2')", "no group of the pattern"),
        ("idem_key = number", "INT64 and STRING in one comparison"),
        ("payload = 'x'", "JSON"),
        ("idem_key > first_seen", "STRING and TIMESTAMP in one comparison"),
        ("first_seen > 'yesterday'", "a text that is no TIMESTAMP"),
        ("number IN (1, 'x')", "INT64 and STRING"),
        ("COALESCE(number, 'x')", "INT64 and STRING in one COALESCE"),
        ("CONCAT(idem_key, number)", "INT64 in CONCAT"),
        ("day + 1", "DATE in"),
        ("idem_key LIKE ANY ('a')", "not supported"),
        ("FIRST_VALUE(idem_key IGNORE NULLS) OVER (ORDER BY number)", "not supported"),
        ("STRING_AGG(idem_key, ',' ORDER BY idem_key) OVER ()", "OVER a window"),
        ("b'x'", "BYTE STRING is not supported"),
        ("number << 1", "not supported"),
        ("nope", "column 'nope' could not be resolved"),
    ],
)
def test_an_expression_that_is_not_carried_out_is_named_with_its_line(expression: str, said: str) -> None:
    message = refusal(f"SELECT idem_key,\n  number,\n  {expression} AS result\nFROM raw.raw_objects")

    assert said in message
    assert "sql/x.sql:3:" in message


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1 AS x FROM raw.nothing", "no table is named 'raw.nothing'"),
        ("SELECT 1 AS x FROM raw_objects", "'raw_objects' without a dataset"),
        ("WITH q AS (SELECT * FROM q) SELECT * FROM q", "'q' without a dataset"),
        ("SELECT * FROM (WITH q AS (SELECT 1 AS x) SELECT x FROM q) AS s, q", "'q' without a dataset"),
        ("WITH RECURSIVE q AS (SELECT 1 AS x) SELECT x FROM q", "WITH with RECURSIVE"),
        ("SELECT AS STRUCT 1 AS x", "SELECT with KIND"),
        ("SELECT idem_key FROM raw.raw_objects FOR SYSTEM_TIME AS OF x", "VERSION is not supported"),
        ("SELECT idem_key FROM raw.raw_objects TABLESAMPLE SYSTEM (1 PERCENT)", "TABLE SAMPLE is not supported"),
        ("SELECT 1 AS x FROM raw.raw_objects AS a RIGHT JOIN raw.raw_objects AS b ON TRUE", "RIGHT JOIN"),
        ("SELECT 1 AS x FROM raw.raw_objects AS a FULL JOIN raw.raw_objects AS b ON TRUE", "FULL JOIN"),
        ("SELECT number FROM raw.raw_objects GROUP BY ROLLUP (number)", "ROLLUP"),
        ("SELECT number, COUNT(*) AS n FROM raw.raw_objects", "column 'number' is neither grouped nor aggregated"),
        ("SELECT idem_key FROM raw.raw_objects GROUP BY number", "column 'idem_key' is neither grouped"),
        ("SELECT LOWER(idem_key) AS idem_key FROM raw.raw_objects GROUP BY idem_key", "and another expression"),
        ("SELECT number FROM raw.raw_objects UNION ALL SELECT idem_key FROM raw.raw_objects", "in one column"),
        ("SELECT 1 AS x UNION ALL SELECT 2, 3", "1 columns and 2"),
        ("SELECT number, number FROM raw.raw_objects", "two columns of one name"),
        ("SELECT number + 1 FROM raw.raw_objects", "a column without a name"),
        ("SELECT number FROM raw.raw_objects WINDOW w AS (ORDER BY number)", "WINDOWS"),
        ("SELECT `a b` FROM raw.raw_objects", "a name of other characters"),
        ("WITH lorch_table_0 AS (SELECT 1 AS x) SELECT x FROM lorch_table_0", "a name that compiled queries use"),
        ("SELECT " + "+".join(["1"] * 3000) + " AS x", "a query nested too deeply"),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000 + " AS x", "a query nested too deeply"),
        ("SELECT x.number FROM raw.raw_objects AS x, raw.raw_objects AS x", ""),
        ("SELECT 1 AS x; SELECT 2 AS y", "2 statements"),
        ("", "0 statements"),
        ("SELECT SELECT", "this is no SQL of BigQuery"),
        ("SELECT '", "this is no SQL of BigQuery"),
        ("DROP TABLE raw.raw_objects", "DROP instead of a query"),
        ("DELETE FROM raw.raw_objects WHERE TRUE", "DELETE instead of a query"),
        ("PRAGMA writable_schema = 1", "instead of a query"),
        ("ATTACH 'x' AS y", "this is no SQL of BigQuery"),
    ],
)
def test_a_query_that_is_not_carried_out_is_refused(sql: str, said: str) -> None:
    assert said in refusal(sql)


def test_every_mistake_is_reported_at_once() -> None:
    message = refusal("SELECT FOO(number) AS a,\n BAR(number) AS b\nFROM raw.raw_objects")

    assert "sql/x.sql:1:8: FOO" in message
    assert "sql/x.sql:2:2: BAR" in message


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1 AS x", "expected CREATE OR REPLACE VIEW or TABLE"),
        ("CREATE VIEW d.v AS SELECT 1 AS x", "without OR REPLACE"),
        ("CREATE OR REPLACE TABLE d.v (x INT64)", "CREATE"),
        ("CREATE OR REPLACE TABLE d.v PARTITION BY day AS SELECT 1 AS x", "PROPERTIES"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1 AS x", "'v' without a dataset"),
        ("CREATE OR REPLACE VIEW d.v AS SELECT @a AS x", "a parameter"),
        ("CREATE OR REPLACE VIEW d.v AS SELECT FOO(1) AS x", "FOO is not supported"),
        ("CREATE OR REPLACE FUNCTION d.f() AS (1)", "not supported"),
    ],
)
def test_a_statement_that_is_not_carried_out_is_refused(sql: str, said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        compile_statement(sql, tables=resolve, target=lambda name: name.table)

    assert said in str(refused.value)


@given(st.text(alphabet="aA1 '\"`;()-*,.@\\\n", max_size=40))
def test_no_text_does_anything_but_compile_or_be_refused(text: str) -> None:
    for sql in (text, f"SELECT {text} AS x", f"SELECT idem_key FROM raw.raw_objects WHERE {text}"):
        try:
            compile_select(sql, tables=resolve)
        except DefinitionError as refused:
            assert refused.problems  # noqa: PT017  (either is right)
