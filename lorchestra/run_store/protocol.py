"""What a run store promises.

A store has two parts, kept apart. The record (runs, attempts, manifests, outcomes, definitions) is safe to show and
to ship. The private values are what a resume needs; they are gone once a run can no longer be resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lorchestra.digest import Digester
from lorchestra.json_value import JSONObject, JSONValue
from lorchestra.schemas import Basis, ErrorRecord, JobDef, RunRecord, RunStatus, StepManifest, StepOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    job_id: str | None = None
    status: RunStatus | None = None
    namespace: str | None = None
    parent_run_id: str | None = None
    outermost: bool = False
    """Only runs that no other run started."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What retention deleted, or would delete."""

    run_ids: tuple[str, ...]
    definitions: int
    private_bytes: int


class PrivateValues(Protocol):
    """Values of a run that are needed to resume it. Whatever `put` and `spill` returned from survives a crash."""

    def put(self, run_id: str, name: str, value: JSONValue) -> None: ...

    def get(self, run_id: str, name: str) -> JSONValue:
        """Raises StoreError when the run has no such value."""

    def spill(self, run_id: str, name: str, lines: Iterable[bytes]) -> int:
        """Write the lines completely and synced, replacing an earlier spill of that name as a whole; the count."""

    def read_spill(self, run_id: str, name: str) -> Iterator[bytes]:
        """The lines of a finished spill. Raises StoreError when there is none."""

    def remove(self, run_id: str) -> None:
        """Forget all values of the run; nothing happens when it has none."""


class RunStore(Protocol):
    """Each method that writes is one transaction: all of it is durable when it returns, or none of it happened.

    Every method raises StoreError, and nothing else, when the store cannot do its work.
    """

    @property
    def private(self) -> PrivateValues: ...

    @property
    def digester(self) -> Digester:
        """Keyed for this store, the same across processes and restarts."""

    def open_run(
        self,
        record: RunRecord,
        definition: JobDef,
        manifests: Sequence[StepManifest],
        *,
        exclusive: bool,
        values: Mapping[str, JSONValue] | None = None,
    ) -> None:
        """Record a new run and its first attempt as running, keep the definition by its hash, add the manifests.

        Its private `values` are there once the run can be seen, and not at all when it could not be recorded.
        With `exclusive`, raise JobBusy when another run of the same job and namespace is running (and alive).
        """

    def open_attempt(
        self,
        run_id: str,
        *,
        at: datetime,
        exclusive: bool = False,
        accepted: Basis | None = None,
        definition: JobDef | None = None,
        values: Mapping[str, JSONValue] | None = None,
    ) -> int:
        """Begin the next attempt of a run that is not running, and return its number.

        What it goes on with instead of what it had is `accepted`; it holds from this attempt on, whose number it is
        given, and its definition is kept. `values` are private ones that it changes.

        Raises RunNotFound; JobBusy when the run is still running and alive, or, with `exclusive`, another one as in
        `open_run`; StoreError when it is finished (completed or partial) and so has nothing to resume. Earlier
        attempts may write no more.
        """

    def advance(
        self,
        run_id: str,
        attempt_n: int,
        *,
        outcomes: Sequence[StepOutcome] = (),
        manifests: Sequence[StepManifest] = (),
    ) -> None:
        """Add outcomes of finished steps and manifests of the next. Raises StaleAttempt after a newer attempt began.

        A later outcome or manifest of the same step and attempt replaces the earlier one.
        """

    def close_run(
        self,
        run_id: str,
        attempt_n: int,
        *,
        status: RunStatus,
        at: datetime,
        outcomes: Sequence[StepOutcome] = (),
        error: ErrorRecord | None = None,
    ) -> None:
        """End the attempt and the run with `status`. Raises StaleAttempt like `advance`."""

    def get(self, run_id: str) -> RunRecord:
        """The run with its attempts and outcomes. A running run whose process is gone reads `interrupted`.

        Raises RunNotFound.
        """

    def find(self, prefix: str) -> str:
        """The full id of the one run whose id starts with `prefix` (any case). Raises RunNotFound, also for several."""

    def list_runs(self, query: RunFilter) -> tuple[RunRecord, ...]:
        """The last that was recorded comes first. Without attempts."""

    def manifests(self, run_id: str) -> tuple[StepManifest, ...]:
        """In the order written."""

    def definition(self, sha256: str) -> JSONObject:
        """A kept definition, canonical. Raises StoreError when it is not kept."""

    def prune(self, before: datetime, *, dry_run: bool) -> Pruned:
        """Delete runs that ended (or were interrupted) before a time, their private values, and definitions no run
        names any more. A running run, and a run with a child or parent that is kept, stays."""

    def close(self) -> None: ...
