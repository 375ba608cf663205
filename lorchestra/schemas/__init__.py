"""The values of the command plane. All are frozen, and refuse keys they do not know."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorchestra.errors import CompileError
    from lorchestra.schemas.attempt import AttemptRecord, ErrorRecord, RunStatus, StepOutcome, StepStatus
    from lorchestra.schemas.envelope import Envelope, EnvelopeRecord
    from lorchestra.schemas.job_def import Concurrency, IdempotencyConfig, JobDef, OnError, RetryPolicy, StepDef
    from lorchestra.schemas.job_instance import JobInstance, JobStepInstance
    from lorchestra.schemas.op import Backend, Op
    from lorchestra.schemas.pipeline import PipelineDef, PipelineJobDef, StageDef
    from lorchestra.schemas.plan import StoracleOp, StoraclePlan
    from lorchestra.schemas.run_record import Basis, RunRecord
    from lorchestra.schemas.step_manifest import StepManifest

__all__ = [
    "AttemptRecord",
    "Backend",
    "Basis",
    "CompileError",
    "Concurrency",
    "Envelope",
    "EnvelopeRecord",
    "ErrorRecord",
    "IdempotencyConfig",
    "JobDef",
    "JobInstance",
    "JobStepInstance",
    "OnError",
    "Op",
    "PipelineDef",
    "PipelineJobDef",
    "RetryPolicy",
    "RunRecord",
    "RunStatus",
    "StageDef",
    "StepDef",
    "StepManifest",
    "StepOutcome",
    "StepStatus",
    "StoracleOp",
    "StoraclePlan",
]

# Each is loaded when asked for: making the classes of all takes longer than listing a hundred definitions.
_HOMES = {
    "lorchestra.errors": ("CompileError",),
    "lorchestra.schemas.attempt": ("AttemptRecord", "ErrorRecord", "RunStatus", "StepOutcome", "StepStatus"),
    "lorchestra.schemas.envelope": ("Envelope", "EnvelopeRecord"),
    "lorchestra.schemas.job_def": ("Concurrency", "IdempotencyConfig", "JobDef", "OnError", "RetryPolicy", "StepDef"),
    "lorchestra.schemas.job_instance": ("JobInstance", "JobStepInstance"),
    "lorchestra.schemas.op": ("Backend", "Op"),
    "lorchestra.schemas.pipeline": ("PipelineDef", "PipelineJobDef", "StageDef"),
    "lorchestra.schemas.plan": ("StoracleOp", "StoraclePlan"),
    "lorchestra.schemas.run_record": ("Basis", "RunRecord"),
    "lorchestra.schemas.step_manifest": ("StepManifest",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(home), name)
            # Found at once from now on.
            globals()[name] = value
            return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
