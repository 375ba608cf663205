"""What stays the same for all steps of an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from lorchestra.schemas.envelope import namespace_of


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    run_id: str
    attempt_n: int
    started_at: datetime
    job_id: str
    job_version: str
    smoke_namespace: str | None
    read_from: Literal["prod"] | None
    """The namespace that the run reads, where that is not its own."""
    lineage: tuple[str, ...]
    payload_sha256: str
    code: Mapping[str, str]
    """The content hash of each callable the job names."""
    root: Path
    """The project's folder; places in errors are told relative to it."""

    @cached_property
    def namespace(self) -> str:
        return namespace_of(self.smoke_namespace)

    def manifest_ref(self, step_id: str) -> str:
        return f"{self.run_id}/{self.attempt_n}/{step_id}"

    def value_name(self, name: str) -> str:
        return value_name(name, self.attempt_n)


def attempt_of(manifest_ref: str) -> int:
    return int(manifest_ref.split("/")[1])


def value_name(name: str, attempt_n: int) -> str:
    """What an attempt calls a private value that it writes.

    Each has names of its own: one that was paused, and wakes after it was replaced, cannot change what its successor
    has written or is writing.
    """
    return name if attempt_n == 1 else f"{name}.{attempt_n}"
