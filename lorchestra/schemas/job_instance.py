"""A job compiled for one run: @ctx and @payload resolved, conditions decided; only @run references remain."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from pydantic import Field

from lorchestra.errors import Path
from lorchestra.json_value import FrozenObject, canonical_bytes
from lorchestra.language import references
from lorchestra.language.references import Node, RunRef
from lorchestra.schemas.job_def import Concurrency, IdempotencyConfig, JobDef, OnError, RetryPolicy
from lorchestra.schemas.op import Op
from lorchestra.schemas.value import Value


class JobStepInstance(Value):
    step_id: str
    op: Op
    params: FrozenObject
    """What the step is asked to do, with values: private."""
    template: FrozenObject
    """The same as the author wrote it, with references in place of values: safe to record."""
    phase_id: str | None = None
    timeout_s: float
    total_timeout_s: float | None = None
    continue_on_error: bool = False
    on_error: OnError = OnError.QUARANTINE
    retry: RetryPolicy | None = None
    workers: int = 1
    idempotency: IdempotencyConfig = IdempotencyConfig()
    semantic_key: str | None = None
    compiled_skip: bool = False

    @cached_property
    def run_refs(self) -> tuple[tuple[Path, RunRef], ...]:
        """Where each `@run` reference of the params stands, and what it names."""
        return tuple(references.run_refs(self.nodes))

    @cached_property
    def nodes(self) -> Node:
        """The params, parsed: once, however often a run looks at them."""
        return references.parse(self.params)


class JobInstance(Value):
    job_id: str
    job_version: str
    job_def_sha256: str
    compiled_at: datetime
    steps: tuple[JobStepInstance, ...]
    concurrency: Concurrency = Concurrency.QUEUE
    tags: tuple[str, ...] = ()
    definition: JobDef | None = Field(default=None, exclude=True, repr=False)
    """What it was compiled from; a run keeps it. It is no part of the instance's own form."""

    def to_json_bytes(self) -> bytes:
        """Canonical: instances that are equal give the same bytes."""
        return canonical_bytes(self.model_dump(mode="json"))
