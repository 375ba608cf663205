"""`storacle.submit`: a plan is sent to storacle, op by op and group by group, as it is built."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lorchestra.handlers.base import StepAnswer
from lorchestra.ops.base import StepContext
from lorchestra.schemas import StoraclePlan
from lorchestra.storacle.protocol import OpResult, OpStatus


def submit(context: StepContext) -> StepAnswer:
    client = context.services.storacle()
    ops: list[dict[str, Any]] = []
    methods: dict[str, Counter[str]] = {}
    for group in context.params["plan"]:
        meta = context.claim.meta(client, context.step.step_id)
        # After the claim: whoever was abandoned while it was made has a fresh token, and nobody who waits.
        context.scope.check()
        plan = StoraclePlan(correlation_id=context.identity.run_id, ops=group)
        results = client.execute_plan(plan, meta)
        context.scope.progress()
        for result in results:
            ops.append({"op_id": result.op_id, "status": result.status.value, "counts": dict(result.counts)})
            _add(methods.setdefault(result.method, Counter()), result)
    applied = sum(counts["applied"] for counts in methods.values())
    already = sum(counts["already_applied"] for counts in methods.values())
    by_method = {method: dict(counts) for method, counts in sorted(methods.items())}
    return StepAnswer(
        output={"applied": applied, "already_applied": already, "methods": by_method, "ops": ops},
        counts={"applied": applied, "already_applied": already},
        detail={"methods": by_method},
    )


def _add(counts: Counter[str], result: OpResult) -> None:
    counts["applied" if result.status is OpStatus.APPLIED else "already_applied"] += 1
    if result.status is OpStatus.APPLIED:
        counts.update(result.counts)
