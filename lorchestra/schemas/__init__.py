"""The values of the command plane. All are frozen, and refuse keys they do not know."""

from lorchestra.errors import CompileError
from lorchestra.schemas.attempt import AttemptRecord, ErrorRecord, RunStatus, StepOutcome, StepStatus
from lorchestra.schemas.envelope import Envelope, EnvelopeRecord
from lorchestra.schemas.job_def import Concurrency, IdempotencyConfig, JobDef, OnError, RetryPolicy, StepDef
from lorchestra.schemas.job_instance import JobInstance, JobStepInstance
from lorchestra.schemas.op import Backend, Op
from lorchestra.schemas.pipeline import PipelineDef, StageDef
from lorchestra.schemas.plan import StoracleOp, StoraclePlan
from lorchestra.schemas.run_record import RunRecord
from lorchestra.schemas.step_manifest import StepManifest

__all__ = [
    "AttemptRecord",
    "Backend",
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
