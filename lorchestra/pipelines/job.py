"""The job that a pipeline runs as: each entry is a step that runs a job. Pure."""

from __future__ import annotations

from lorchestra.pipelines.tree import Entry, Pipeline
from lorchestra.schemas import Op, PipelineJobDef, StepDef

VERSION = "2.0"

_WEEK_S = 7 * 24 * 3600.0


def job_of(pipeline: Pipeline) -> PipelineJobDef:
    return PipelineJobDef(
        job_id=pipeline.job_id,
        version=VERSION,
        description=pipeline.description,
        steps=tuple(_step(entry, stops=pipeline.stop_on_failure) for entry in pipeline.entries),
    )


def _step(entry: Entry, *, stops: bool) -> StepDef:
    return StepDef(
        step_id=entry.step_id,
        op=Op.JOB_RUN,
        # Each job is given what the pipeline was given.
        params={"job_id": entry.job_id, "ctx": "@ctx", "payload": "@payload"},
        phase_id=entry.stage,
        # How long a step may take is said in its own job; the pipeline has no opinion of it.
        timeout_s=_WEEK_S,
        continue_on_error=not stops,
    )
