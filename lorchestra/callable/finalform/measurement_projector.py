"""`measurement_projector`: canonical questionnaire responses become rows of `measurement_events`.

Params: `binding` and `measures`, each with its version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorchestra.callable import step_params
from lorchestra.callable.context import CallableContext
from lorchestra.callable.finalform import files
from lorchestra.callable.finalform.events import EventFormer
from lorchestra.callable.finalform.params import FormParams
from lorchestra.callable.finalform.stage import handle
from lorchestra.items import Item


def resources(params: Mapping[str, Any]) -> Mapping[str, str]:
    return files.form_resources(step_params.parse(FormParams, params))


def execute(params: Mapping[str, Any], context: CallableContext) -> dict[str, Iterator[Item]]:
    asked = step_params.parse(FormParams, params)
    measures = files.load_measures(asked.measure_refs, context.resources)
    binding = files.load_binding(asked.binding_ref, measures, context.resources)
    former = EventFormer(binding, measures, processed_at=context.clock.now().isoformat())
    return {"items": handle(context, former.events)}
