"""One read of one source as a query: what it selects, in which order, and how its rows become JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lorchestra.storacle.backends import outputs
from lorchestra.storacle.backends.bigquery import cells, conditions
from lorchestra.storacle.backends.bigquery.names import quoted
from lorchestra.storacle.backends.bigquery.scripts import Script
from lorchestra.storacle.backends.bigquery.sources import Expression, Source
from lorchestra.storacle.backends.bigquery.undeclared import ROW
from lorchestra.storacle.backends.outputs import READ
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.fields import Field
from lorchestra.storacle.read_spec import Order, Read, Unprocessed
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH, Type


class Query:
    """Raises RpcError (invalid params) for fields that are not there."""

    def __init__(self, source: Source, read: Read, *, markers: str | None) -> None:
        """`markers` is the table of those, where there is one."""
        self._source = source
        self._read = read
        self._markers = markers
        chosen = outputs.chosen(source, read, source.output)
        self._gives_objects = chosen is None
        self._outputs = {ROW: f"t.{quoted(ROW)}"} if chosen is None else chosen
        self._order = self._ordered()

    @property
    def goes_by_key(self) -> bool:
        """Whether rows come in the order of a key and nothing else, so that a later query can go on behind one."""
        return bool(self._source.key) and not self._read.order_by

    def script(self, *, behind: Sequence[str] | None, limit: int | None) -> Script:
        script = Script()
        held = conditions.clause(self._source, self._read.where, script, (*READ, "where"))
        if self._read.unprocessed is not None and self._markers is not None:
            held.append(self._is_unprocessed(self._read.unprocessed, self._markers, script))
        if behind is not None:
            held.append(self._is_behind(behind, script))
        keys = [f"t.{quoted(name)} AS _place_{number}" for number, name in enumerate(self._source.key)]
        outputs = [f"{sql} AS _value_{number}" for number, sql in enumerate(self._outputs.values())]
        order = f" ORDER BY {', '.join(self._order)}" if self._order else ""
        end = "" if limit is None else f" LIMIT {limit}"
        script.add(
            f"SELECT {', '.join([*keys, *outputs])} FROM {self._source.physical.sql} AS t"
            f"{conditions.where(held)}{order}{end}"
        )
        return script

    def place(self, values: Sequence[Any]) -> list[str]:
        return list(values[: len(self._source.key)])

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        given = values[len(self._source.key) :]
        if self._gives_objects:
            whole: dict[str, Any] = given[0]
            return whole
        return {name: cells.outward(value) for name, value in zip(self._outputs, given, strict=True)}

    @property
    def columns(self) -> dict[str, Type | None]:
        """The names of what is given, and their types. Raises RpcError where rows may hold any."""
        return outputs.types(self._source, self._read)

    def _ordered(self) -> list[str]:
        terms: list[str] = []
        for position, order in enumerate(self._read.order_by):
            expression = self._source.expression(order.field)
            if expression is None:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=(*READ, "order_by", position))
            terms += _terms(order, expression)
        if self._source.key:
            return [*terms, *(f"t.{quoted(name)}" for name in self._source.key)]
        for name in self._source.columns:
            expression = self._source.expression(Field(name, name))
            assert expression is not None
            terms += _terms(Order(Field(name, name)), expression)
        return terms

    def _is_behind(self, place: Sequence[str], script: Script) -> str:
        if len(place) != len(self._source.key) or not all(isinstance(value, str) for value in place):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
        parts, level = [], ""
        for name, value in zip(self._source.key, place, strict=True):
            bound = script.bind("STRING", value)
            parts.append(f"({level}t.{quoted(name)} > {bound})")
            level += f"t.{quoted(name)} = {bound} AND "
        return f"({' OR '.join(parts)})"

    def _is_unprocessed(self, asked: Unprocessed, markers: str, script: Script) -> str:
        """A marker counts when it speaks of what the row says now and, if that is asked, of the code that is asked."""
        held = f"p.stage = {script.bind('STRING', asked.stage)}"
        held += f" AND p.idem_key = t.idem_key AND p.content_hash = t.{CONTENT_HASH}"
        if asked.code_hash is not None:
            held += f" AND p.code_hash = {script.bind('STRING', asked.code_hash)}"
        return f"NOT EXISTS (SELECT 1 FROM {markers} AS p WHERE {held})"


def _terms(order: Order, expression: Expression) -> list[str]:
    """Nulls come first, numbers before texts."""
    if expression.json is not None:
        number = (
            f"CASE JSON_TYPE({expression.json}) WHEN 'number' THEN SAFE_CAST({expression.sql} AS FLOAT64) "
            f"WHEN 'boolean' THEN IF({expression.sql} = 'true', 1.0, 0.0) END"
        )
        text = f"COALESCE({expression.sql}, TO_JSON_STRING({expression.json}))"
        is_text = f"{number} IS NULL AND NOT ({expression.is_null})"
        terms = [f"NOT ({expression.is_null})", is_text, number, f"IF({is_text}, {text}, NULL)"]
    elif expression.type in (Type.JSON, None):
        terms = [f"TO_JSON_STRING({expression.sql})"]
    else:
        terms = [expression.sql]
    return [f"{term} DESC" for term in terms] if order.descending else terms
