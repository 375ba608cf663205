"""What a step was asked to do, written before it is done."""

from __future__ import annotations

from datetime import datetime

from lorchestra.json_value import FrozenObject
from lorchestra.schemas.op import Backend, Op
from lorchestra.schemas.value import Value


class StepManifest(Value):
    """Params hold what the definition says; a value from outside it shows as its reference and a keyed digest."""

    run_id: str
    step_id: str
    backend: Backend
    op: Op
    resolved_params: FrozenObject
    prompt_hash: str | None = None
    idempotency_key: str
    attempt_n: int
    inputs_digest: str
    code_sha256: str | None = None
    written_at: datetime
