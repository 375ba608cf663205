"""A dry run: what each step would be asked to do. Nothing is dispatched or recorded, and no secret is needed."""

from __future__ import annotations

from typing import Any

from lorchestra.json_value import thaw
from lorchestra.result import ExecutionResult
from lorchestra.schemas import Envelope, JobInstance, JobStepInstance, Op
from lorchestra.segments import plan_segments
from lorchestra.workspace import Workspace


def preview(workspace: Workspace, envelope: Envelope) -> ExecutionResult:
    """References to @ctx and @payload are shown as the author wrote them: the definition is shown, not the values."""
    instance = workspace.compile(envelope)
    for step in instance.steps:
        if step.op is Op.CALL and not step.compiled_skip:
            workspace.callables.get(step.params["callable"])
        if step.op is Op.JOB_RUN and not step.compiled_skip:
            workspace.registry.load(step.params["job_id"], step.params.get("version"))
    return ExecutionResult(status="dry_run", preview=_describe(instance, envelope))


def _describe(instance: JobInstance, envelope: Envelope) -> dict[str, Any]:
    segment_of = {
        step_id: number for number, segment in enumerate(plan_segments(instance), start=1) for step_id in segment.steps
    }
    return {
        "job_id": instance.job_id,
        "version": instance.job_version,
        "job_def_sha256": instance.job_def_sha256,
        "namespace": envelope.namespace,
        "steps": [_step(step, segment_of.get(step.step_id)) for step in instance.steps],
    }


def _step(step: JobStepInstance, segment: int | None) -> dict[str, Any]:
    return {
        "step_id": step.step_id,
        "op": step.op.value,
        "backend": step.op.backend.value,
        "skipped": step.compiled_skip,
        "segment": segment,
        "params": thaw(step.template),
    }
