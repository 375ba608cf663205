"""`plan.build`: items become the ops of a plan, batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Generator

from lorchestra.handlers.base import StepAnswer
from lorchestra.items import as_item
from lorchestra.language import references
from lorchestra.ops.base import StepContext
from lorchestra.plan_builder import PlanKeys, PlanSpec, plan_ops
from lorchestra.schemas import StoracleOp


class PlanBuild:
    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._ops = 0
        self._sends = 0
        self._digest = hashlib.blake2b(digest_size=16, key=context.services.digester.key)

    def stream(self) -> Generator[tuple[StoracleOp, ...], None, None]:
        context = self._context
        step = context.step
        items = map(as_item, context.params["items"])
        keys = PlanKeys(
            namespace=context.identity.namespace,
            run_id=context.identity.run_id,
            job_id=context.identity.job_id,
            step_id=step.step_id,
            config=step.idempotency,
            semantic_key=step.semantic_key,
            payload_sha256=context.identity.payload_sha256,
        )
        written = [references.parse(value) for name, value in step.template.items() if name != "items"]
        is_authored = not any(map(references.has_refs, written))
        for group in plan_ops(items, PlanSpec.from_params(context.params, is_authored=is_authored), keys):
            self._sends += 1
            self._ops += len(group)
            for op in group:
                self._digest.update(op.content_sha256.encode())
            yield group

    def finish(self) -> StepAnswer:
        return StepAnswer(
            output={},
            counts={"ops": self._ops, "sends": self._sends},
            digest=self._digest.hexdigest(),
        )
