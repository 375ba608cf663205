"""A stage of forming: each record gives its rows, or is set aside, and is done with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lorchestra.callable.context import CallableContext
from lorchestra.callable.finalform.events import Row
from lorchestra.callable.finalform.response import Misfit
from lorchestra.items import Item, MarkerResult, Record, Rejected
from lorchestra.json_value import JSONObject


def handle(context: CallableContext, rows_of: Callable[[JSONObject], Iterable[Row]]) -> Iterator[Item]:
    """`rows_of` raises Misfit for a record that cannot be processed."""
    formed = empty = rejected = 0
    for item in context.items:
        if not isinstance(item, Record):
            # What an earlier step set aside, or a cursor of its, goes with the rows.
            yield item
            continue
        try:
            # All of a record's rows or none: a later one may find what is wrong.
            rows = list(rows_of(item.data))
        except Misfit as misfit:
            rejected += 1
            yield Rejected(
                idem_key=item.idem_key or "",
                schema=str(item.data.get("canonical_schema") or "measurement_event"),
                pointer=misfit.pointer,
                rule=misfit.rule,
            )
            yield from context.done(item, MarkerResult.QUARANTINED)
            continue
        formed += len(rows)
        empty += not rows
        yield from map(Record, rows)
        yield from context.done(item, MarkerResult.OK if rows else MarkerResult.EMPTY)
    context.log.info("records.formed", rows=formed, empty=empty, rejected=rejected)
