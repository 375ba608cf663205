"""What is carried out, construct by construct, and whether two engines were shown to agree on it.

The parity tests go through this table, and `lorchestra sql parity` prints it, so that the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The table that the examples read, as `raw.raw_objects`.
COLUMNS: Mapping[str, str] = {
    "idem_key": "STRING",
    "source": "STRING",
    "text": "STRING",
    "payload": "JSON",
    "number": "INT64",
    "amount": "FLOAT64",
    "is_read": "BOOL",
    "first_seen": "TIMESTAMP",
    "last_seen": "TIMESTAMP",
    "day": "DATE",
}


@dataclass(frozen=True, slots=True)
class Construct:
    name: str
    example: str
    """A query that uses it."""
    why_not: str | None = None
    """Why it is not proven; None where it is."""

    @property
    def is_proven(self) -> bool:
        return self.why_not is None


def _of_rows(name: str, expression: str, why_not: str | None = None) -> Construct:
    """An expression of one row."""
    return Construct(name, f"SELECT idem_key, {expression} AS result FROM raw.raw_objects", why_not)


def _of_groups(name: str, expression: str, why_not: str | None = None) -> Construct:
    return Construct(name, f"SELECT source, {expression} AS result FROM raw.raw_objects GROUP BY source", why_not)


def _where(name: str, condition: str, why_not: str | None = None) -> Construct:
    return Construct(name, f"SELECT idem_key FROM raw.raw_objects WHERE {condition}", why_not)


_FROM = "FROM raw.raw_objects AS t"
_WINDOW = "PARTITION BY source ORDER BY number, idem_key"

CONSTRUCTS: tuple[Construct, ...] = (
    # JSON
    _of_rows("JSON_VALUE", "JSON_VALUE(payload, '$.name')"),
    _of_rows("JSON_VALUE of a path", "JSON_VALUE(payload, '$.list[1].id')"),
    _of_rows("JSON_VALUE of a name in quotes", """JSON_VALUE(payload, '$."a b"')"""),
    _of_rows("JSON_QUERY", "JSON_QUERY(payload, '$.list')"),
    Construct(
        "UNNEST of JSON_QUERY_ARRAY",
        f"SELECT idem_key, JSON_VALUE(item, '$.id') AS id {_FROM}, "
        "UNNEST(JSON_QUERY_ARRAY(t.payload, '$.list')) AS item",
    ),
    Construct(
        "UNNEST WITH OFFSET",
        f"SELECT idem_key, item, position {_FROM} "
        "CROSS JOIN UNNEST(JSON_QUERY_ARRAY(payload, '$.list')) AS item WITH OFFSET AS position",
    ),
    Construct(
        "UNNEST in a correlated query",
        "SELECT idem_key, (SELECT COUNT(*) FROM UNNEST(JSON_QUERY_ARRAY(payload, '$.list')) AS item "
        f"WHERE JSON_VALUE(item, '$.id') = t.source) AS result {_FROM}",
    ),
    Construct(
        "LEFT JOIN UNNEST",
        f"SELECT idem_key, item {_FROM} LEFT JOIN UNNEST(JSON_QUERY_ARRAY(payload, '$.list')) AS item",
    ),
    Construct(
        "JSON_VALUE_ARRAY",
        f"SELECT idem_key, tag {_FROM}, UNNEST(JSON_VALUE_ARRAY(payload, '$.list')) AS tag",
        "the second engine has no function that refuses an array with objects in it",
    ),
    Construct("UNNEST of an array", f"SELECT idem_key, one {_FROM}, UNNEST(['a', 'b']) AS one"),
    _where("IN UNNEST", "source IN UNNEST(['gmail', 'Gmail'])"),
    Construct("SPLIT", f"SELECT idem_key, word {_FROM}, UNNEST(SPLIT(text, ' ')) AS word"),
    _of_rows("ARRAY_LENGTH", "ARRAY_LENGTH(JSON_QUERY_ARRAY(payload, '$.list'))"),
    # Choices
    _of_rows("COALESCE", "COALESCE(text, source, 'none')"),
    _of_rows("IFNULL", "IFNULL(number, -1)"),
    _of_rows("NULLIF", "NULLIF(source, 'gmail')"),
    _of_rows("IF", "IF(number > 1, 'many', 'few')"),
    _of_rows("CASE", "CASE WHEN number > 1 THEN 'many' WHEN number = 1 THEN 'one' END"),
    _of_rows("CASE of a value", "CASE source WHEN 'gmail' THEN 1 WHEN 'Gmail' THEN 2 ELSE 3 END"),
    # Casts
    _of_rows("SAFE_CAST to INT64", "SAFE_CAST(text AS INT64)"),
    _of_rows("SAFE_CAST to FLOAT64", "SAFE_CAST(text AS FLOAT64)"),
    _of_rows("SAFE_CAST to BOOL", "SAFE_CAST(text AS BOOL)"),
    _of_rows("SAFE_CAST to DATE", "SAFE_CAST(text AS DATE)"),
    _of_rows("SAFE_CAST to TIMESTAMP", "SAFE_CAST(text AS TIMESTAMP)"),
    _of_rows("CAST of INT64 to STRING", "CAST(number AS STRING)"),
    _of_rows("CAST of BOOL to STRING", "CAST(is_read AS STRING)"),
    _of_rows("CAST of DATE to STRING", "CAST(day AS STRING)"),
    _of_rows(
        "CAST of TIMESTAMP to STRING", "CAST(first_seen AS STRING)", "the second engine writes fractions differently"
    ),
    _of_rows("CAST of FLOAT64 to INT64", "CAST(amount AS INT64)", "the second engine rounds halves to even numbers"),
    _of_rows("CAST of DATE to TIMESTAMP", "CAST(day AS TIMESTAMP)"),
    # Times
    _where("TIMESTAMP compared", "first_seen >= '2024-02-29 12:00:00' AND first_seen <= last_seen"),
    _where("TIMESTAMP written", "first_seen < TIMESTAMP '2024-03-01 00:00:00+02:00'"),
    _where("DATE compared", "day BETWEEN '2024-01-01' AND DATE '2024-12-31'"),
    _of_rows("PARSE_TIMESTAMP", "SAFE.PARSE_TIMESTAMP('%d.%m.%Y %H:%M', text)"),
    _of_rows("PARSE_DATE", "SAFE.PARSE_DATE('%Y-%m-%d', text)"),
    _of_rows("FORMAT_TIMESTAMP", "FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%S %j %b %A %p', first_seen)"),
    _of_rows("FORMAT_DATE", "FORMAT_DATE('%d.%m.%y', day)"),
    *(
        _of_rows(f"TIMESTAMP_TRUNC to {part}", f"TIMESTAMP_TRUNC(first_seen, {part})")
        for part in ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "ISOWEEK", "WEEK(SATURDAY)", "MONTH", "QUARTER", "YEAR")
    ),
    *(
        _of_rows(f"DATE_TRUNC to {part}", f"DATE_TRUNC(day, {part})")
        for part in ("WEEK", "WEEK(MONDAY)", "MONTH", "QUARTER", "YEAR")
    ),
    *(
        _of_rows(f"DATE_DIFF in {part}", f"DATE_DIFF(DATE(last_seen), day, {part})")
        for part in ("DAY", "ISOWEEK", "MONTH", "QUARTER", "YEAR")
    ),
    _of_rows("DATE_DIFF in WEEK", "DATE_DIFF(DATE(last_seen), day, WEEK)"),
    *(
        _of_rows(f"TIMESTAMP_DIFF in {part}", f"TIMESTAMP_DIFF(last_seen, first_seen, {part})")
        for part in ("MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY")
    ),
    _of_rows("TIMESTAMP_ADD", "TIMESTAMP_ADD(first_seen, INTERVAL 36 HOUR)"),
    _of_rows("TIMESTAMP_SUB", "TIMESTAMP_SUB(first_seen, INTERVAL 7 DAY)"),
    _of_rows("DATE_ADD", "DATE_ADD(day, INTERVAL 1 MONTH)"),
    _of_rows("DATE_SUB", "DATE_SUB(day, INTERVAL 1 YEAR)"),
    _of_rows("DATE", "DATE(first_seen)"),
    *(
        _of_rows(f"EXTRACT of {part}", f"EXTRACT({part} FROM first_seen)")
        for part in (
            "YEAR",
            "QUARTER",
            "MONTH",
            "ISOWEEK",
            "ISOYEAR",
            "DAY",
            "DAYOFWEEK",
            "DAYOFYEAR",
            "HOUR",
            "MINUTE",
        )
    ),
    _of_rows("EXTRACT of SECOND", "EXTRACT(SECOND FROM first_seen)"),
    _of_rows("EXTRACT of DATE", "EXTRACT(DATE FROM first_seen)"),
    _of_rows("UNIX_SECONDS", "UNIX_SECONDS(first_seen)"),
    _of_rows("UNIX_MILLIS", "UNIX_MILLIS(first_seen)"),
    _of_rows("TIMESTAMP_SECONDS", "TIMESTAMP_SECONDS(number)"),
    _of_rows("TIMESTAMP_MILLIS", "TIMESTAMP_MILLIS(number)"),
    # Texts
    _of_rows("REGEXP_CONTAINS", r"REGEXP_CONTAINS(text, r'^\w+[\d.]*$')"),
    _of_rows("REGEXP_EXTRACT", r"REGEXP_EXTRACT(text, r'([A-Za-z]+)\d*')"),
    _of_rows("REGEXP_EXTRACT without a group", r"REGEXP_EXTRACT(text, r'\d+')"),
    _of_rows("REGEXP_REPLACE", r"REGEXP_REPLACE(text, r'([a-z])\s*(\d)', r'\2-\1')"),
    _where("LIKE", r"text LIKE 'G%_l' OR text LIKE r'%\_%'"),
    _where("NOT LIKE", "text NOT LIKE '%a%'"),
    _of_rows("LOWER", "LOWER(text)"),
    _of_rows("UPPER", "UPPER(text)"),
    _of_rows("TRIM", "TRIM(text)"),
    _of_rows("TRIM of characters", "TRIM(text, 'aG ')"),
    _of_rows("LTRIM and RTRIM", "LTRIM(RTRIM(text, 'l'), 'g')"),
    _of_rows("CONCAT", "CONCAT(source, '/', text)"),
    _of_rows("||", "source || '/' || text"),
    _of_rows("SUBSTR", "SUBSTR(text, 2, 3)"),
    _of_rows("SUBSTR from the end", "SUBSTR(text, -3)"),
    _of_rows("STARTS_WITH", "STARTS_WITH(text, 'G')"),
    _of_rows("ENDS_WITH", "ENDS_WITH(text, 'l')"),
    _of_rows("LENGTH", "LENGTH(text)"),
    _of_rows("REPLACE", "REPLACE(text, 'a', 'é')"),
    _of_rows("STRPOS", "STRPOS(text, 'a')"),
    _where("texts compared", "text = 'Gmail' OR source < text"),
    # Numbers
    _of_rows("+ - *", "number * 2 + 1 - number"),
    _of_rows("/", "number / 4"),
    _of_rows("DIV", "DIV(number, 3)"),
    _of_rows("MOD", "MOD(number, 3)"),
    _of_rows("SAFE_DIVIDE", "SAFE_DIVIDE(amount, number)"),
    _of_rows("ROUND", "ROUND(amount)"),
    _of_rows("ROUND to digits", "ROUND(amount, 2)", "engines differ where the written number is not the stored one"),
    _of_rows("FLOOR", "FLOOR(amount)"),
    _of_rows("CEIL", "CEIL(amount)"),
    _of_rows("ABS", "ABS(number)"),
    _of_rows("GREATEST", "GREATEST(number, 2)"),
    _of_rows("LEAST", "LEAST(number, 2)"),
    # Conditions
    _where("BOOL", "is_read"),
    _where("BOOL compared", "is_read = FALSE"),
    _where("IS TRUE", "is_read IS NOT TRUE"),
    _where("IS NULL", "text IS NULL OR NOT number IS NULL"),
    _where("IN", "number IN (1, 2) OR source NOT IN ('gmail')"),
    _where("IN a query", "source IN (SELECT text FROM raw.raw_objects)"),
    Construct(
        "EXISTS", f"SELECT idem_key {_FROM} WHERE EXISTS (SELECT 1 FROM raw.raw_objects AS o WHERE o.text = t.source)"
    ),
    # Aggregates
    _of_groups("COUNT", "COUNT(*) + COUNT(number)"),
    _of_groups("COUNT DISTINCT", "COUNT(DISTINCT text)"),
    _of_groups("COUNTIF", "COUNTIF(number > 1)"),
    _of_groups("SUM", "SUM(amount)"),
    _of_groups("AVG", "AVG(number)"),
    _of_groups("MIN", "MIN(text)"),
    _of_groups("MAX", "MAX(first_seen)"),
    _of_groups("LOGICAL_OR", "LOGICAL_OR(is_read)"),
    _of_groups("LOGICAL_AND", "LOGICAL_AND(is_read)"),
    _of_groups("STRING_AGG with ORDER BY", "STRING_AGG(text, '; ' ORDER BY number DESC, idem_key)"),
    _of_groups("STRING_AGG of DISTINCT", "STRING_AGG(DISTINCT text, ',' ORDER BY text)"),
    Construct(
        "GROUP BY of an expression",
        "SELECT LOWER(source) AS lower, COUNT(*) AS result FROM raw.raw_objects GROUP BY lower HAVING COUNT(*) > 1",
    ),
    # Windows
    _of_rows("ROW_NUMBER", f"ROW_NUMBER() OVER ({_WINDOW})"),
    _of_rows("RANK", "RANK() OVER (ORDER BY number DESC)"),
    _of_rows("DENSE_RANK", "DENSE_RANK() OVER (ORDER BY source)"),
    _of_rows("NTILE", f"NTILE(2) OVER ({_WINDOW})"),
    _of_rows("LAG", f"LAG(text, 1, 'none') OVER ({_WINDOW})"),
    _of_rows("LEAD", f"LEAD(text) OVER ({_WINDOW})"),
    _of_rows("FIRST_VALUE", f"FIRST_VALUE(text) OVER ({_WINDOW})"),
    _of_rows(
        "LAST_VALUE",
        f"LAST_VALUE(text) OVER ({_WINDOW} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    ),
    _of_rows("SUM OVER a frame", f"SUM(number) OVER ({_WINDOW} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"),
    _of_rows("COUNTIF OVER", "COUNTIF(is_read) OVER (PARTITION BY source)"),
    Construct(
        "QUALIFY",
        "SELECT source, idem_key FROM raw.raw_objects WHERE number IS NOT NULL "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY source ORDER BY first_seen DESC, idem_key) = 1",
    ),
    Construct(
        "QUALIFY with ORDER BY and LIMIT",
        "SELECT source, idem_key FROM raw.raw_objects "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY source ORDER BY idem_key) = 1 ORDER BY idem_key LIMIT 2",
    ),
    # Queries
    Construct(
        "WITH",
        "WITH Known AS (SELECT idem_key, number FROM raw.raw_objects WHERE number IS NOT NULL), "
        "more AS (SELECT k.idem_key FROM known AS k WHERE k.number > 1) SELECT idem_key FROM more",
    ),
    Construct("UNION ALL", "SELECT source AS x FROM raw.raw_objects UNION ALL SELECT text FROM raw.raw_objects"),
    Construct(
        "UNION DISTINCT", "SELECT source AS x FROM raw.raw_objects UNION DISTINCT SELECT text FROM raw.raw_objects"
    ),
    Construct(
        "EXCEPT DISTINCT", "SELECT source AS x FROM raw.raw_objects EXCEPT DISTINCT SELECT text FROM raw.raw_objects"
    ),
    Construct(
        "UNION ALL of queries with LIMIT",
        "(SELECT idem_key FROM raw.raw_objects ORDER BY idem_key LIMIT 1) UNION ALL "
        "(SELECT idem_key FROM raw.raw_objects ORDER BY idem_key DESC LIMIT 1)",
    ),
    Construct("DISTINCT", "SELECT DISTINCT source, is_read FROM raw.raw_objects"),
    Construct("INNER JOIN", f"SELECT t.idem_key, o.number {_FROM} JOIN raw.raw_objects AS o ON o.source = t.text"),
    Construct("LEFT JOIN", f"SELECT t.idem_key, o.number {_FROM} LEFT JOIN raw.raw_objects AS o ON o.source = t.text"),
    Construct("JOIN USING", f"SELECT idem_key, o.number {_FROM} LEFT JOIN raw.raw_objects AS o USING (idem_key)"),
    Construct("CROSS JOIN", f"SELECT t.idem_key, o.number {_FROM} CROSS JOIN raw.raw_objects AS o"),
    Construct("* EXCEPT", "SELECT * EXCEPT (payload, amount) FROM raw.raw_objects"),
    Construct("* REPLACE", "SELECT * EXCEPT (payload) REPLACE (LOWER(source) AS source) FROM raw.raw_objects"),
    Construct("ORDER BY, NULL first", "SELECT idem_key, number FROM raw.raw_objects ORDER BY number, idem_key LIMIT 3"),
    Construct(
        "ORDER BY DESC, NULL last",
        "SELECT idem_key, text FROM raw.raw_objects ORDER BY text DESC, idem_key LIMIT 3 OFFSET 1",
    ),
    Construct("NULLS LAST", "SELECT idem_key, text FROM raw.raw_objects ORDER BY text NULLS LAST, idem_key LIMIT 3"),
)
