"""The statements that bring the staged rows of one op into their table, and SQL for how many did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lorchestra.storacle.backends.bigquery import scripts
from lorchestra.storacle.backends.bigquery.layout import Layout, Moment
from lorchestra.storacle.backends.bigquery.names import quoted
from lorchestra.storacle.backends.bigquery.scripts import Script
from lorchestra.storacle.backends.bigquery.staging import StagedOp
from lorchestra.storacle.tables import CONTENT_HASH, OP

CountsSql: TypeAlias = Mapping[str, str]

FOUND = "v_found"
"""A variable of every script: how many rows the statement before it was about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of one op: its number in the unit, where they are staged, and where they go."""

    op: int
    staging: str
    staged: StagedOp
    target: str
    layout: Layout
    moment: Moment


def upsert(script: Script, rows: Rows) -> CountsSql:
    layout, moment = rows.layout, rows.moment
    for number, names in rows.staged.rounds:
        work = _work(rows, number)
        script.add(_working_table(rows, number, names, is_upsert=True))
        updated = [f"{quoted(name)} = s.{quoted(name)}" for name in layout.updated(names)]
        updated += [f"`{CONTENT_HASH}` = s.`{CONTENT_HASH}`", f"`{OP}` = {moment.tag}"]
        touched = [f"{quoted(name)} = s.{quoted(name)}" for name in layout.touched]
        script.add(
            f"MERGE {rows.target} AS t USING {work} AS s ON {_same_key(layout, '')}\n"
            f"WHEN MATCHED AND s._change = 'updated' THEN UPDATE SET {', '.join(updated)}\n"
            + (f"WHEN MATCHED THEN UPDATE SET {', '.join(touched)}\n" if touched else "")
            + f"WHEN NOT MATCHED THEN INSERT ({_columns(layout)}) VALUES ({_values(layout, moment, 's.')})"
        )
    return {
        "inserted": _count(rows, "inserted"),
        "updated": _count(rows, "updated"),
        "unchanged": f"{_count(rows, 'unchanged')} + {rows.staged.repeats}",
    }


def append(script: Script, rows: Rows) -> CountsSql:
    """A row whose key is there must say what is there, or the script stops with its number."""
    layout = rows.layout
    for number, names in rows.staged.rounds:
        work = _work(rows, number)
        script.add(
            _working_table(rows, number, names, is_upsert=False),
            f"SET {FOUND} = (SELECT MIN(_position) FROM {work} WHERE _change = 'updated')",
            scripts.stop_if(f"{FOUND} IS NOT NULL", "conflict", op=rows.op, row=FOUND),
            f"INSERT INTO {rows.target} ({_columns(layout)}) "
            f"SELECT {_values(layout, rows.moment, '')} FROM {work} WHERE _change = 'inserted'",
        )
    return {
        "inserted": _count(rows, "inserted"),
        "unchanged": f"{_count(rows, 'unchanged')} + {rows.staged.repeats}",
    }


def delete(script: Script, rows: Rows) -> CountsSql:
    script.add(f"SET {FOUND} = 0")
    if rows.staged.rounds:
        source = f"SELECT 1 FROM {rows.staging} AS s WHERE s._op = {rows.op}"
        script.add(
            f"DELETE FROM {rows.target} AS t WHERE EXISTS ({source} AND {_same_key(rows.layout, rows.staged.prefix)})",
            f"SET {FOUND} = @@row_count",
        )
    return {"deleted": FOUND, "absent": f"{rows.staged.rows} - {FOUND}"}


def _working_table(rows: Rows, number: int, names: frozenset[str], *, is_upsert: bool) -> str:
    """What each row of a round will say, and whether that is new. It is read once and used twice."""
    layout, prefix = rows.layout, rows.staged.prefix
    merged = layout.merged(prefix, names, rows.moment, over_old=is_upsert)
    verdict = layout.verdict(names) if is_upsert else None
    chosen = [f"{sql} AS {quoted(name)}" for name, sql in merged.items()]
    chosen += ["s._position AS _position", f"t.`{CONTENT_HASH}` AS _old_hash"]
    is_same = f"_old_hash = `{CONTENT_HASH}`"
    if verdict is not None:
        chosen.append(f"t.{quoted(verdict)} AS _old_verdict")
        is_same += f" AND {quoted(verdict)} IS NOT DISTINCT FROM _old_verdict"
    return (
        f"CREATE TEMP TABLE {_work(rows, number)} AS\n"
        f"SELECT *, CASE WHEN _old_hash IS NULL THEN 'inserted' WHEN {is_same} THEN 'unchanged' ELSE 'updated' END"
        f" AS _change FROM (\n"
        f"SELECT *, TO_HEX(SHA256({layout.content})) AS `{CONTENT_HASH}` FROM (\n"
        f"SELECT {', '.join(chosen)}\n"
        f"FROM {rows.staging} AS s LEFT JOIN {rows.target} AS t ON {_same_key(layout, prefix)}\n"
        f"WHERE s._op = {rows.op} AND s._round = {number}))"
    )


def _work(rows: Rows, number: int) -> str:
    return f"work_{rows.op}_{number}"


def _same_key(layout: Layout, prefix: str) -> str:
    return " AND ".join(f"t.{quoted(name)} = s.{quoted(prefix + name)}" for name in layout.key_names)


def _names(layout: Layout) -> Sequence[str]:
    return [field.name for field in layout.schema if field.name not in (CONTENT_HASH, OP)]


def _columns(layout: Layout) -> str:
    return ", ".join(map(quoted, (*_names(layout), CONTENT_HASH, OP)))


def _values(layout: Layout, moment: Moment, source: str) -> str:
    return ", ".join([*(source + quoted(name) for name in (*_names(layout), CONTENT_HASH)), moment.tag])


def _count(rows: Rows, change: str) -> str:
    counted = [
        f"(SELECT COUNT(*) FROM {_work(rows, number)} WHERE _change = '{change}')" for number, _ in rows.staged.rounds
    ]
    return " + ".join(counted) or "0"
