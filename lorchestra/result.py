"""What became of a request to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorchestra.schemas import AttemptRecord, RunRecord, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """`status` is a run's status; without a run it is `dry_run`, or `skipped` when `concurrency: skip` left it out."""

    status: str
    run_id: str | None = None
    run_record: RunRecord | None = None
    attempt: AttemptRecord | None = None
    error: str | None = None
    failed_steps: tuple[str, ...] = ()
    preview: Mapping[str, Any] | None = None

    @property
    def success(self) -> bool:
        return self.status in (RunStatus.COMPLETED, "dry_run")

    @classmethod
    def of(cls, record: RunRecord) -> ExecutionResult:
        return cls(
            status=record.status.value,
            run_id=record.run_id,
            run_record=record,
            attempt=record.attempts[-1] if record.attempts else None,
            error=record.error.message if record.error else None,
            failed_steps=tuple(o.step_id for o in record.step_outcomes if o.status == "failed"),
        )

    def to_dict(self) -> dict[str, Any]:
        if self.preview is not None:
            return {"success": self.success, "status": self.status, "preview": dict(self.preview)}
        return {
            "success": self.success,
            "status": self.status,
            "run_id": self.run_id,
            "error": self.error,
            "failed_steps": list(self.failed_steps),
            "run_record": self.run_record.model_dump(mode="json") if self.run_record else None,
            "attempt": self.attempt.model_dump(mode="json") if self.attempt else None,
        }
