"""A pipeline as its author writes it: stages in order, each a list of jobs or of other pipelines. It runs as a job."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lorchestra.schemas.job_def import JobDef
from lorchestra.schemas.value import Value

PREFIX = "pipeline."

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=128)]
PipelineId = Annotated[str, StringConstraints(pattern=r"^(pipeline\.)?[a-z][a-z0-9_]*$", max_length=137)]
JobRef = Annotated[str, StringConstraints(pattern=r"^(pipeline\.)?[a-z][a-z0-9_]*$", max_length=137)]
PipelineJobId = Annotated[str, StringConstraints(pattern=r"^pipeline\.[a-z][a-z0-9_]*$", max_length=137)]


def is_pipeline(job_id: str) -> bool:
    """Whether the job of this id is a pipeline."""
    return job_id.startswith(PREFIX)


def name_of(pipeline_id: str) -> str:
    """`daily_all` and `pipeline.daily_all` are the same."""
    return pipeline_id.removeprefix(PREFIX)


class StageDef(Value):
    name: Name = Field(description="What the stage is called in results and logs.")
    jobs: Annotated[tuple[JobRef, ...], Field(min_length=1)] = Field(
        description="Jobs, or whole pipelines, by name; run in this order."
    )


class PipelineDef(Value):
    pipeline_id: PipelineId = Field(description="The name of this file, without `.yaml`.")
    description: str | None = Field(default=None, description="What the pipeline is for, in a sentence.")
    stages: Annotated[tuple[StageDef, ...], Field(min_length=1)] = Field(description="Run one after another.")
    stop_on_failure: bool = Field(
        default=True, description="Whether a failed job keeps the jobs after it from running; a partial one does not."
    )

    @property
    def name(self) -> str:
        return name_of(self.pipeline_id)


class PipelineJobDef(JobDef):
    """The job that a pipeline runs as: a step for each of its entries."""

    job_id: PipelineJobId
