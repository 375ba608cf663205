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

    scope: IdempotencyScope = Field(default=IdempotencyScope.RUN, description="`run`, `semantic` or `explicit`.")
    semantic_key_ref: str | None = Field(default=None, description="A @payload or @ctx reference to the key.")
    include_payload_hash: bool = Field(default=False, description="Whether another payload gives another key.")


class RetryPolicy(Value):
    """How often, and after what pause, a transient error is tried again."""

    max_retries: int = Field(default=0, ge=0, le=100, description="Tries after the first one.")
    initial_delay_seconds: float = Field(
        default=1.0, ge=0, le=86_400, allow_inf_nan=False, description="The pause before the second try."
    )
    backoff_multiplier: float = Field(
        default=2.0, ge=1, le=100, allow_inf_nan=False, description="Each pause is this many times the one before."
    )
    max_delay_seconds: float = Field(
        default=300.0, ge=0, le=86_400, allow_inf_nan=False, description="No pause is longer, unless the peer asks."
    )
    jitter: bool = Field(default=True, description="Whether pauses vary at random, so that many do not try at once.")


class StepDef(Value):
    step_id: StepId = Field(description="Later steps refer to this one by it: `@run.<step_id>.<path>`.")
    op: Op = Field(
        description="What is done: `call` a callable, `plan.build` from items, `storacle.submit` a plan, "
        "`compute.llm` a prompt, `job.run` another job."
    )
    params: FrozenObject = Field(
        default_factory=json_value.empty,
        description="What the op is told. Text that is a whole reference (`@ctx.<path>`, `@payload.<path>`, "
        "`@run.<step_id>.<path>`) stands for a value; `@@` begins text with an @.",
    )
    phase_id: str | None = Field(default=None, description="A name that groups steps for the reader.")
    if_: str | bool | None = Field(
        default=None, alias="if", description="A condition on @ctx and @payload; when it is false, the step is skipped."
    )
    timeout_s: Seconds = Field(default=300.0, description="How long the step may go without progress.")
    total_timeout_s: Seconds | None = Field(default=None, description="How long the step may take in all.")
    continue_on_error: bool = Field(default=False, description="Whether the steps after it run when it fails.")
    on_error: OnError = Field(
        default=OnError.QUARANTINE,
        description="What becomes of a record that cannot be processed: `quarantine` keeps it aside, `fail` stops.",
    )
    retry: RetryPolicy | None = Field(default=None, description="For this step, in place of the job's.")
    workers: int = Field(default=1, ge=1, le=64, description="How many may work on the step's items at a time.")
    idempotency: IdempotencyConfig = IdempotencyConfig()


class JobDef(Value):
    job_id: JobId = Field(description="The name of this file, without `.yaml` (and without `@<version>`).")
    version: Version = Field(description="The job's own, `'2.<minor>'`, in quotes; 2 is the format of definitions.")
    steps: Annotated[tuple[StepDef, ...], Field(min_length=1)] = Field(description="Done in this order.")
    description: str | None = Field(default=None, description="What the job is for, in a sentence.")
    tags: tuple[str, ...] = Field(default=(), description="Words to find the job by.")
    retry: RetryPolicy | None = Field(default=None, description="For every step that has none of its own.")
    concurrency: Concurrency = Field(
        default=Concurrency.QUEUE, description="What becomes of a run while the same job is running in its namespace."
    )

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
