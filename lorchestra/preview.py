"""A dry run: what each step would be asked to do. Nothing is dispatched or recorded, and no secret is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorchestra import envelopes
from lorchestra.compiler.segments import plan_segments
from lorchestra.handlers.orchestration import RecursiveJob
from lorchestra.json_value import thaw
from lorchestra.language import references
from lorchestra.language.references import RunRef
from lorchestra.plan.spec import ALIASES, DEFAULT_METHOD
from lorchestra.result import ExecutionResult
from lorchestra.schemas import Envelope, JobStepInstance, Op
from lorchestra.workspace import Workspace


def preview(workspace: Workspace, envelope: Envelope) -> ExecutionResult:
    """References are shown as the author wrote them: the definition is shown, not the values."""
    workspace.catalog.look_anew()
    return ExecutionResult(status="dry_run", preview=_Preview(workspace).of(envelope, ()))


class _Preview:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def of(self, envelope: Envelope, above: tuple[str, ...]) -> dict[str, Any]:
        """The job of an envelope; `above` are the jobs that it would run under. Raises what starting it would raise."""
        lineage = (*above, envelope.job_id)
        if envelope.job_id in above:
            raise RecursiveJob(lineage)
        instance = self._workspace.compile(envelope)
        self._workspace.check_names(instance, envelope)
        segment_of = {
            step_id: number
            for number, segment in enumerate(plan_segments(instance).segments, start=1)
            for step_id in segment.steps
        }
        return {
            "job_id": instance.job_id,
            "version": instance.job_version,
            "job_def_sha256": instance.job_def_sha256,
            "namespace": envelope.namespace,
            "steps": [self._step(step, segment_of.get(step.step_id), envelope, lineage) for step in instance.steps],
        }

    def _step(
        self, step: JobStepInstance, segment: int | None, envelope: Envelope, lineage: tuple[str, ...]
    ) -> dict[str, Any]:
        about: dict[str, Any] = {
            "step_id": step.step_id,
            "op": step.op.value,
            "backend": step.op.backend.value,
            "skipped": step.compiled_skip,
            "segment": segment,
            "params": thaw(step.template),
        }
        if not step.compiled_skip:
            about.update(self._effects(step, envelope, lineage))
        return about

    def _effects(self, step: JobStepInstance, envelope: Envelope, lineage: tuple[str, ...]) -> dict[str, Any]:
        match step.op:
            case Op.CALL:
                return self._call(step)
            case Op.PLAN_BUILD:
                return {"writes": _target(step)}
            case Op.JOB_RUN:
                return {"child": self._child(step, envelope, lineage)}
            case _:
                return {}

    def _call(self, step: JobStepInstance) -> dict[str, Any]:
        entry = self._workspace.callables.get(step.params["callable"])
        about: dict[str, Any] = {
            "callable": {"name": entry.name, "origin": entry.origin, "content_hash": entry.content_hash}
        }
        if "read" in step.template:
            about["reads"] = thaw(step.template["read"])
        return about

    def _child(self, step: JobStepInstance, envelope: Envelope, lineage: tuple[str, ...]) -> dict[str, Any]:
        if references.has_refs(step.nodes):
            # What it would be given is not known before the steps above it have run.
            return {"job_id": step.params["job_id"], "steps": "known when the steps before this one have run"}
        params: Any = references.resolve(step.nodes, _refuse)
        child = envelopes.read(
            {
                "job_id": params["job_id"],
                "version": params.get("version"),
                "ctx": params.get("ctx") or {},
                "payload": params.get("payload") or {},
                "smoke_namespace": envelope.smoke_namespace,
                "read_from": envelope.read_from,
                "leave_out": params.get("leave_out") or (),
            }
        )
        return self.of(child, lineage)


def _refuse(ref: RunRef) -> object:
    raise AssertionError(f"{ref} was said not to be there")


def _target(step: JobStepInstance) -> Mapping[str, Any]:
    """Where the plan goes, as far as the author said it; the method where it is left to the default."""
    written = step.template
    method = written.get("method", DEFAULT_METHOD)
    named = {name: thaw(written[name]) for name in ("dataset", "table", "key_columns") if name in written}
    return {"method": ALIASES.get(str(method), method), **named}
