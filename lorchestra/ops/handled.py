"""`compute.*` and `job.*`: carried out by the handler of the op's backend."""

from __future__ import annotations

from functools import partial

from lorchestra.handlers.base import StepAnswer, StepRequest
from lorchestra.ops.base import StepContext


def hand_over(context: StepContext) -> StepAnswer:
    handler = context.services.handlers.handler_for(context.step.op)
    return handler.execute(
        StepRequest(
            run_id=context.identity.run_id,
            smoke_namespace=context.identity.smoke_namespace,
            read_from=context.identity.read_from,
            step=context.step,
            params=context.params,
            token=context.scope,
            lineage=context.identity.lineage,
            run_child=partial(context.run_child, context.step.step_id, context.scope),
        )
    )
