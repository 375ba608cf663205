"""What makes an op of a plan the same op when it comes again."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorchestra import json_value
from lorchestra.errors import PlanError, Problem
from lorchestra.schemas import IdempotencyConfig
from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.schemas.job_def import IdempotencyScope


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanKeys:
    """Who builds the plan, and how far its keys reach.

    Scope `run`: the key holds the run, the step, the op's position and its content. A resend is recognised; whatever
    differs lands, and so does everything a later run sends.

    Scopes `semantic` and `explicit`: the key holds the author's key and the op's position, and not the content. The
    second plan with that key has no effect, in whatever run and with whatever rows: the author says that equal keys
    mean the same work. `include_payload_hash` narrows either to runs with the same payload.

    Every key holds the namespace. Keys are hashes, so nothing of a semantic key can be read from them.
    """

    namespace: str = PRODUCTION
    run_id: str
    job_id: str
    step_id: str
    config: IdempotencyConfig = field(default_factory=IdempotencyConfig)
    semantic_key: str | None = None
    payload_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.config.scope is not IdempotencyScope.RUN and self.semantic_key is None:
            raise PlanError(
                Problem(
                    found=f"step '{self.step_id}' has the idempotency scope '{self.config.scope}' and no key",
                    expected="'semantic_key_ref' names a value of @ctx or @payload",
                    path=("idempotency", "semantic_key_ref"),
                )
            )
        if self.config.include_payload_hash and self.payload_sha256 is None:
            raise ValueError("include_payload_hash needs payload_sha256")

    def op_id(self, position: int) -> str:
        return f"{self.step_id}-{position:06d}"

    def op_key(self, position: int, content_sha256: str) -> str:
        payload = self.payload_sha256 if self.config.include_payload_hash else None
        scope = self.config.scope
        match scope:
            case IdempotencyScope.RUN:
                parts: list[str | None] = [self.run_id, self.job_id, self.step_id, content_sha256]
            case IdempotencyScope.SEMANTIC:
                parts = [self.job_id, self.step_id, self.semantic_key, payload]
            case IdempotencyScope.EXPLICIT:
                parts = [self.semantic_key, payload]
        return json_value.sha256([scope.value, self.namespace, position, *parts])
