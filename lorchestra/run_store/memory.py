"""A run store that lives and ends with its process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from lorchestra import json_value
from lorchestra.digest import Digester
from lorchestra.errors import JobBusy, RunNotFound, StaleAttempt, StoreError
from lorchestra.json_value import JSONObject, JSONValue
from lorchestra.run_store import retention, run_state
from lorchestra.run_store.private_values import InMemoryPrivateValues
from lorchestra.run_store.protocol import Pruned, RunFilter
from lorchestra.schemas import (
    AttemptRecord,
    Basis,
    ErrorRecord,
    JobDef,
    RunRecord,
    RunStatus,
    StepManifest,
    StepOutcome,
)


@dataclass(slots=True, kw_only=True)
class _Run:
    record: RunRecord
    status: RunStatus
    attempts: list[AttemptRecord]
    completed_at: datetime | None = None
    error: ErrorRecord | None = None
    outcomes: list[tuple[int, StepOutcome]] = field(default_factory=list)
    manifests: list[tuple[int, StepManifest]] = field(default_factory=list)

    def read(self, *, whole: bool) -> RunRecord:
        return run_state.assemble(
            self.record,
            status=self.status,
            completed_at=self.completed_at,
            error=self.error,
            attempts=self.attempts if whole else (),
            outcomes=self.outcomes if whole else (),
        )


class InMemoryRunStore:
    def __init__(self, *, key: bytes | None = None) -> None:
        self._runs: dict[str, _Run] = {}
        self._definitions: dict[str, bytes] = {}
        self._private = InMemoryPrivateValues()
        self._digester = Digester(key or secrets.token_bytes(32))
        self._mutex = threading.RLock()

    @property
    def private(self) -> InMemoryPrivateValues:
        return self._private

    @property
    def digester(self) -> Digester:
        return self._digester

    def open_run(
        self,
        record: RunRecord,
        definition: JobDef,
        manifests: Sequence[StepManifest],
        *,
        exclusive: bool,
        values: Mapping[str, JSONValue] | None = None,
    ) -> None:
        with self._mutex:
            run_state.check_new(record, is_known=record.run_id in self._runs)
            if exclusive:
                self._refuse_rivals(record)
            for name, value in (values or {}).items():
                self._private.put(record.run_id, name, value)
            self._keep(definition)
            self._runs[record.run_id] = _Run(
                record=record,
                status=RunStatus.RUNNING,
                attempts=[AttemptRecord(run_id=record.run_id, attempt_n=1, started_at=record.started_at)],
                manifests=[(1, manifest) for manifest in manifests],
            )

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
        with self._mutex:
            run = self._run(run_id)
            run_state.check_resumable(run.read(whole=False))
            if exclusive:
                self._refuse_rivals(run.record)
            attempt_n = len(run.attempts) + 1
            if accepted is not None:
                run.record = run_state.accept(run.record, accepted, attempt_n)
                self._keep(definition)
            for name, value in (values or {}).items():
                self._private.put(run_id, name, value)
            run.attempts.append(AttemptRecord(run_id=run_id, attempt_n=attempt_n, started_at=at))
            run.status, run.completed_at, run.error = RunStatus.RUNNING, None, None
            return attempt_n

    def _keep(self, definition: JobDef | None) -> None:
        if definition is not None:
            self._definitions.setdefault(definition.sha256(), json_value.canonical_bytes(definition.canonical()))

    def advance(
        self,
        run_id: str,
        attempt_n: int,
        *,
        outcomes: Sequence[StepOutcome] = (),
        manifests: Sequence[StepManifest] = (),
    ) -> None:
        with self._mutex:
            run = self._current(run_id, attempt_n)
            run.outcomes.extend((attempt_n, outcome) for outcome in outcomes)
            run.manifests.extend((attempt_n, manifest) for manifest in manifests)

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
        run_state.check_end(status)
        with self._mutex:
            run = self._current(run_id, attempt_n)
            run.outcomes.extend((attempt_n, outcome) for outcome in outcomes)
            run.attempts[-1] = run.attempts[-1].model_copy(update={"status": status, "completed_at": at})
            run.status, run.completed_at, run.error = status, at, error

    def get(self, run_id: str) -> RunRecord:
        with self._mutex:
            return self._run(run_id).read(whole=True)

    def find(self, prefix: str) -> str:
        with self._mutex:
            wanted = prefix.upper()
            ids = [run_id for run_id in self._runs if run_id.upper().startswith(wanted)]
            exact = [run_id for run_id in ids if run_id.upper() == wanted]
        if len(found := exact or ids) != 1:
            raise RunNotFound(prefix, is_ambiguous=len(found) > 1)
        return found[0]

    def list_runs(self, query: RunFilter) -> tuple[RunRecord, ...]:
        with self._mutex:
            runs = list(self._select(query))[::-1]
            return tuple(run.read(whole=False) for run in runs[: query.limit])

    def manifests(self, run_id: str) -> tuple[StepManifest, ...]:
        with self._mutex:
            return tuple(run_state.latest(self._run(run_id).manifests).values())

    def definition(self, sha256: str) -> JSONObject:
        with self._mutex:
            if sha256 not in self._definitions:
                raise StoreError(f"no definition with the hash {sha256} is kept")
            kept: JSONObject = orjson.loads(self._definitions[sha256])
            return kept

    def prune(self, before: datetime, *, dry_run: bool) -> Pruned:
        with self._mutex:
            run_ids = retention.expired(
                (
                    retention.RunEnd(
                        run_id=run.record.run_id,
                        parent_run_id=run.record.parent_run_id,
                        ended_at=run.completed_at,
                    )
                    for run in self._runs.values()
                ),
                before,
            )
            kept = self._runs.keys() - set(run_ids)
            named = {sha256 for run_id in kept for sha256 in run_state.definitions_of(self._runs[run_id].record)}
            definitions = self._definitions.keys() - named
            pruned = Pruned(
                run_ids=run_ids, definitions=len(definitions), private_bytes=sum(map(self._private.size, run_ids))
            )
            if not dry_run:
                for sha256 in definitions:
                    del self._definitions[sha256]
                for run_id in run_ids:
                    del self._runs[run_id]
                    self._private.remove(run_id)
            return pruned

    def close(self) -> None:
        pass

    def _run(self, run_id: str) -> _Run:
        if run_id not in self._runs:
            raise RunNotFound(run_id)
        return self._runs[run_id]

    def _current(self, run_id: str, attempt_n: int) -> _Run:
        run = self._run(run_id)
        if run.status is not RunStatus.RUNNING or len(run.attempts) != attempt_n:
            raise StaleAttempt(run_id=run_id, attempt_n=attempt_n)
        return run

    def _refuse_rivals(self, record: RunRecord) -> None:
        for rival in self._select(
            RunFilter(job_id=record.job_id, namespace=record.namespace, status=RunStatus.RUNNING)
        ):
            raise JobBusy(job_id=record.job_id, namespace=record.namespace, run_id=rival.record.run_id)

    def _select(self, query: RunFilter) -> Iterator[_Run]:
        for run in self._runs.values():
            if (
                query.job_id in (None, run.record.job_id)
                and query.status in (None, run.status)
                and query.namespace in (None, run.record.namespace)
                and query.parent_run_id in (None, run.record.parent_run_id)
                and not (query.outermost and run.record.parent_run_id)
            ):
                yield run
