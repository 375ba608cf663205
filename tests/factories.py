"""Records for tests, complete in what the models ask for and nothing more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from lorchestra.clock import new_run_id
from lorchestra.schemas import (
    Backend,
    EnvelopeRecord,
    JobDef,
    Op,
    RunRecord,
    StepManifest,
    StepOutcome,
    StepStatus,
)

NOW = datetime(2024, 5, 1, 3, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def job_def(job_id: str = "tidy", **changes: Any) -> JobDef:
    steps = [{"step_id": "fetch", "op": "call", "params": {"callable": "noop"}}]
    return JobDef.model_validate({"job_id": job_id, "version": "2.0", "steps": steps, **changes})


def run_record(definition: JobDef | None = None, **changes: Any) -> RunRecord:
    definition = definition or job_def()
    started_at = changes.pop("started_at", NOW)
    fields: dict[str, Any] = {
        "run_id": new_run_id(started_at),
        "job_id": definition.job_id,
        "job_version": definition.version,
        "job_def_sha256": definition.sha256(),
        "envelope": EnvelopeRecord(job_id=definition.job_id, ctx_digest="hmac:1", payload_digest="hmac:2"),
        "started_at": started_at,
        "step_ids": tuple(step.step_id for step in definition.steps),
        "code": {"noop": "c0de"},
    }
    return RunRecord(**{**fields, **changes})


def manifest(run_id: str, step_id: str = "fetch", **changes: Any) -> StepManifest:
    fields: dict[str, Any] = {
        "run_id": run_id,
        "step_id": step_id,
        "backend": Backend.CALLABLE,
        "op": Op.CALL,
        "resolved_params": {"callable": "noop", "read": {"dataset": "raw", "where": [1, 2.5, None]}},
        "idempotency_key": f"prod:{run_id}:{step_id}",
        "attempt_n": 1,
        "inputs_digest": "hmac:3",
        "written_at": NOW,
    }
    return StepManifest(**{**fields, **changes})


def outcome(step_id: str = "fetch", status: StepStatus = StepStatus.COMPLETED, **changes: Any) -> StepOutcome:
    fields: dict[str, Any] = {"started_at": NOW, "completed_at": at(1), "counts": {"record": 3}, "digest": "d1"}
    return StepOutcome(step_id=step_id, status=status, **{**fields, **changes})
