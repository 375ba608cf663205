"""`finalform`: what a form's answers to a measure say, as numbers.

Params: `binding` and `measures`, each with its version; `yields: measurement_events` or `yields: observations`. One
stream of items goes to one table, so a job that writes both calls it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lorchestra.callable import step_params
from lorchestra.callable.context import CallableContext
from lorchestra.callable.finalform import files, measurement_projector, observation_projector
from lorchestra.callable.finalform.events import EventFormer, Row
from lorchestra.callable.finalform.observations import Observer
from lorchestra.callable.finalform.params import FinalformParams, Yields
from lorchestra.callable.finalform.stage import handle
from lorchestra.items import Item, Record
from lorchestra.json_value import JSONObject

__all__ = ["execute", "measurement_projector", "observation_projector", "resources"]

COMPLETED = "finalization.completed"


def resources(params: Mapping[str, Any]) -> Mapping[str, str]:
    return files.form_resources(step_params.parse(FinalformParams, params))


def execute(params: Mapping[str, Any], context: CallableContext) -> dict[str, Iterator[Item]]:
    asked = step_params.parse(FinalformParams, params)
    measures = files.load_measures(asked.measure_refs, context.resources)
    binding = files.load_binding(asked.binding_ref, measures, context.resources)
    processed_at = context.clock.now().isoformat()
    former = EventFormer(binding, measures, processed_at=processed_at)
    observers = {measure.measure_id: Observer(measure, processed_at=processed_at) for measure in measures}

    def observations(record: JSONObject) -> Iterable[Row]:
        for event in former.events(record):
            yield from observers[event["measure_id"]].observations(event)

    rows_of = former.events if asked.yields is Yields.MEASUREMENT_EVENTS else observations
    return {"items": _completed(context, asked.yields, handle(context, rows_of))}


def _completed(context: CallableContext, yields: Yields, items: Iterable[Item]) -> Iterator[Item]:
    """The items and, where there were any, last of all the event that says so."""
    is_idle = True
    for item in items:
        is_idle = False
        yield item
    if is_idle:
        return
    event_id = f"{context.run_id}:{context.step_id}:{COMPLETED}"
    # Without counts: a run that is resumed says it again, and the row has to be the same.
    event = {
        "idem_key": event_id,
        "event_id": event_id,
        "event_type": COMPLETED,
        "source_system": "lorchestra",
        "object_type": "questionnaire_response",
        "target_object_type": yields.value,
        "status": "ok",
        "run_id": context.run_id,
        "trace_id": context.run_id,
        "created_at": context.clock.now().isoformat(),
    }
    yield Record(event, method="event.append")
