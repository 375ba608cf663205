"""A pipeline as its author writes it: stages in order, each a list of jobs or of other pipelines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lorchestra.schemas.value import Value

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=128)]
JobRef = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]*$", max_length=140)]


class StageDef(Value):
    name: Name = Field(description="What the stage is called in results and logs.")
    jobs: Annotated[tuple[JobRef, ...], Field(min_length=1)] = Field(
        description="Jobs, or whole pipelines, by name; run in this order."
    )


class PipelineDef(Value):
    pipeline_id: Name = Field(description="The name of this file, without `.yaml`.")
    description: str | None = Field(default=None, description="What the pipeline is for, in a sentence.")
    stages: Annotated[tuple[StageDef, ...], Field(min_length=1)] = Field(description="Run one after another.")
    stop_on_failure: bool = Field(
        default=True, description="Whether a failed job keeps the jobs after it from running; a partial one does not."
    )
