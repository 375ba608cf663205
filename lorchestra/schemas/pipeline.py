"""A pipeline as its author writes it: stages in order, each a list of jobs or of other pipelines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lorchestra.schemas.value import Value

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=128)]
JobRef = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]*$", max_length=140)]


class StageDef(Value):
    name: Name
    jobs: Annotated[tuple[JobRef, ...], Field(min_length=1)]


class PipelineDef(Value):
    pipeline_id: Name
    description: str | None = None
    stages: Annotated[tuple[StageDef, ...], Field(min_length=1)]
    stop_on_failure: bool = True
