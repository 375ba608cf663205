"""A job as its author writes it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from lorchestra import json_value
from lorchestra.json_value import FrozenObject
from lorchestra.schemas.op import Op
from lorchestra.schemas.value import Value

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
JobId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=128)]
Version = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$", max_length=20, strict=True)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]

FORMAT_MAJOR = 2


class OnError(StrEnum):
    """What becomes of a record that cannot be processed."""

    QUARANTINE = "quarantine"
    FAIL = "fail"


class Concurrency(StrEnum):
    """What becomes of a run whose job is already running in the same namespace."""

    ALLOW = "allow"
    QUEUE = "queue"
    SKIP = "skip"
    FAIL = "fail"


class IdempotencyScope(StrEnum):
    RUN = "run"
    SEMANTIC = "semantic"
    EXPLICIT = "explicit"


class IdempotencyConfig(Value):
    """What an effect's key is made of.

    `run`: this run and step, so a resend is recognised and a later run never suppressed. `semantic`: this job and
    step and the value of `semantic_key_ref`, in whatever run. `explicit`: that value alone.
    """

    scope: IdempotencyScope = IdempotencyScope.RUN
    semantic_key_ref: str | None = Field(default=None, description="A @payload or @ctx reference to the key.")
    include_payload_hash: bool = False


class RetryPolicy(Value):
    """How often, and after what pause, a transient error is tried again."""

    max_retries: int = Field(default=0, ge=0, le=100)
    initial_delay_seconds: float = Field(default=1.0, ge=0, le=86_400, allow_inf_nan=False)
    backoff_multiplier: float = Field(default=2.0, ge=1, le=100, allow_inf_nan=False)
    max_delay_seconds: float = Field(default=300.0, ge=0, le=86_400, allow_inf_nan=False)
    jitter: bool = True


class StepDef(Value):
    step_id: StepId
    op: Op
    params: FrozenObject = Field(default_factory=json_value.empty)
    phase_id: str | None = None
    if_: str | bool | None = Field(default=None, alias="if", description="A condition on @ctx and @payload.")
    timeout_s: Seconds = Field(default=300.0, description="How long the step may go without progress.")
    total_timeout_s: Seconds | None = Field(default=None, description="How long the step may take in all.")
    continue_on_error: bool = False
    on_error: OnError = OnError.QUARANTINE
    retry: RetryPolicy | None = None
    workers: int = Field(default=1, ge=1, le=64)
    idempotency: IdempotencyConfig = IdempotencyConfig()


class JobDef(Value):
    job_id: JobId
    version: Version
    steps: Annotated[tuple[StepDef, ...], Field(min_length=1)]
    description: str | None = None
    tags: tuple[str, ...] = ()
    retry: RetryPolicy | None = None
    concurrency: Concurrency = Concurrency.QUEUE

    @field_validator("version")
    @classmethod
    def _known_format(cls, version: str) -> str:
        major = version.split(".")[0]
        if int(major) != FORMAT_MAJOR:
            raise ValueError(f"format {major} is not known; expected '{FORMAT_MAJOR}.<minor>'")
        return version

    @field_validator("steps")
    @classmethod
    def _distinct_ids(cls, steps: tuple[StepDef, ...]) -> tuple[StepDef, ...]:
        seen: set[str] = set()
        for step in steps:
            if step.step_id in seen:
                raise ValueError(f"step id '{step.step_id}' is used twice")
            seen.add(step.step_id)
        return steps

    def canonical(self) -> dict[str, Any]:
        """The definition without what it leaves to defaults: equal definitions are equal here, and hash alike."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def sha256(self) -> str:
        return json_value.sha256(self.canonical())
