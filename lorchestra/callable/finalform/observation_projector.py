"""`observation_projector`: measurement events become rows of `observations`.

Params: `measures`, each with its version. Events of other measures give nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lorchestra.callable import step_params
from lorchestra.callable.context import CallableContext
from lorchestra.callable.finalform import files
from lorchestra.callable.finalform.events import Row
from lorchestra.callable.finalform.observations import Observer
from lorchestra.callable.finalform.params import ScoreParams
from lorchestra.callable.finalform.stage import handle
from lorchestra.items import Item
from lorchestra.json_value import JSONObject


def resources(params: Mapping[str, Any]) -> Mapping[str, str]:
    return files.measure_resources(step_params.parse(ScoreParams, params).measure_refs)


def execute(params: Mapping[str, Any], context: CallableContext) -> dict[str, Iterator[Item]]:
    measures = files.load_measures(step_params.parse(ScoreParams, params).measure_refs, context.resources)
    processed_at = context.clock.now().isoformat()
    observers = {measure.measure_id: Observer(measure, processed_at=processed_at) for measure in measures}

    def observations(event: JSONObject) -> Iterable[Row]:
        observer = observers.get(str(event.get("measure_id")))
        return () if observer is None else observer.observations(event)

    return {"items": handle(context, observations)}
