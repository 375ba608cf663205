"""Jobs: their life, what polls see of it, and their resource."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.standins.bigquery.errors import Injected, JSONObject, Refusal
from tests.standins.bigquery.faults import Faults, JobFault
from tests.standins.bigquery.sql.engine import StatementResult


def _now() -> str:
    return str(int(time.time() * 1000))


@dataclass(slots=True, kw_only=True)
class Job:
    id: str
    project: str
    location: str
    configuration: JSONObject
    parent: str | None = None
    created: str = field(default_factory=_now)
    ended: str | None = None
    error: Refusal | None = None
    statement_type: str | None = None
    fields: Sequence[JSONObject] = ()
    rows: Sequence[Sequence[Any]] = ()
    result: StatementResult | None = None  # of a single statement
    children: int = 0
    bytes_processed: int = 0
    rows_loaded: int | None = None
    polls: int = 0
    cancelled: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.configuration.get("labels") or {})

    @property
    def query(self) -> str:
        return str((self.configuration.get("query") or {}).get("query", ""))

    @property
    def text(self) -> str:
        """What faults are matched with."""
        if "load" in self.configuration:
            table = self.configuration["load"]["destinationTable"]
            return f"LOAD {table['datasetId']}.{table['tableId']}"
        return self.query

    def seen_done(self, patience_s: float) -> bool:
        """Whether a poll sees the job done; it waits a little for it, as the service does."""
        if self.polls > 0:
            self.polls -= 1
            return False
        return self.done.wait(patience_s)

    def reference(self) -> JSONObject:
        return {"projectId": self.project, "jobId": self.id, "location": self.location}

    def resource(self, *, is_done: bool) -> JSONObject:
        kind = "load" if "load" in self.configuration else "query"
        status: JSONObject = {"state": "DONE" if is_done else "RUNNING"}
        statistics: JSONObject = {"creationTime": self.created, "startTime": self.created}
        if self.parent is not None:
            statistics["parentJobId"] = self.parent
        if is_done:
            statistics |= {"endTime": self.ended or self.created, kind: self._statistics(kind)}
            if kind == "query":
                statistics["totalBytesProcessed"] = str(self.bytes_processed)
            if self.children:
                statistics["numChildJobs"] = str(self.children)
            if self.error is not None:
                status |= {"errorResult": self.error.proto(), "errors": [self.error.proto()]}
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.id}",
            "jobReference": self.reference(),
            "configuration": {**self.configuration, "jobType": kind.upper()},
            "status": status,
            "statistics": statistics,
            "user_email": "stand-in@example.invalid",
        }

    def dml(self) -> JSONObject:
        """What an answer says of the rows a single DML statement changed."""
        counts = self.result.counts if self.result is not None else None
        if counts is None or self.result is None:
            return {}
        words = {"INSERT": "insertedRowCount", "UPDATE": "updatedRowCount", "DELETE": "deletedRowCount"}
        stats = {name: str(counts[verb]) for verb, name in words.items() if counts.get(verb)}
        return {"numDmlAffectedRows": str(self.result.affected), "dmlStats": stats}

    def _statistics(self, kind: str) -> JSONObject:
        if kind == "load":
            return {"outputRows": str(self.rows_loaded or 0), "inputFiles": "1", "badRecords": "0"}
        found: JSONObject = {
            "totalBytesProcessed": str(self.bytes_processed),
            "totalBytesBilled": str(self.bytes_processed),
            "cacheHit": False,
            **self.dml(),
        }
        if self.statement_type is not None:
            found["statementType"] = self.statement_type
        if self.fields:
            found["schema"] = {"fields": list(self.fields)}
        target = self.result.target if self.result is not None else None
        if target is not None and self.result is not None and self.result.kind.endswith(("TABLE", "VIEW", "_SELECT")):
            found["ddlTargetTable"] = {"projectId": self.project, "datasetId": target[0], "tableId": target[1]}
        return found


class Jobs:
    def __init__(self, faults: Faults, violations: list[str]) -> None:
        self._faults = faults
        self._violations = violations
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._threads: list[threading.Thread] = []

    def all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def get(self, job_id: str) -> Job:
        with self._lock:
            if job_id not in self._jobs:
                raise Refusal("notFound", f"Not found: Job {job_id}")
            return self._jobs[job_id]

    def add(self, job: Job) -> None:
        with self._lock:
            if job.id in self._jobs:
                raise Refusal("duplicate", f"Already Exists: Job {job.project}:{job.location}.{job.id}")
            self._jobs[job.id] = job

    def start(self, job: Job, work: Callable[[Callable[[int], None]], None]) -> None:
        """Runs the work of a new job in a thread of its own; the work calls back after each statement."""
        self.add(job)
        faults = self._faults.for_job(job.text)
        job.polls = sum(fault.polls for fault in faults)
        thread = threading.Thread(target=self._run, args=(job, work, faults), name=f"job {job.id}")
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        for job in self.all():
            job.cancelled = True
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, job: Job, work: Callable[[Callable[[int], None]], None], faults: Sequence[JobFault]) -> None:
        timeout_ms = job.configuration.get("jobTimeoutMs")
        deadline = None if timeout_ms is None else time.monotonic() + int(timeout_ms) / 1000

        def checkpoint(statements: int) -> None:
            for fault in faults:
                fault.act(statements)
            if job.cancelled:
                raise Injected("stopped", "Job execution was cancelled: User requested cancellation")
            if deadline is not None and time.monotonic() > deadline:
                raise Injected("stopped", "Job execution was cancelled: Job timed out")

        try:
            work(checkpoint)
        except Refusal as error:
            job.error = error
        except Exception as error:  # noqa: BLE001 - whatever a mistake of the stand-in is, the test must see it
            job.error = Refusal("internalError", f"the stand-in failed: {error!r}")
            self._violations.append(f"job {job.id}: {error!r}")
        finally:
            job.ended = _now()
            job.done.set()
