"""What a test can make go wrong: answers, connections and jobs."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Literal

from tests.standins.bigquery.errors import REASONS, Injected, Refusal


@dataclass(slots=True, kw_only=True)
class RequestFault:
    verb: str | None
    path: str
    times: int
    refusal: Refusal | None = None
    drop: Literal["before", "after"] | None = None

    def concerns(self, verb: str, path: str) -> bool:
        return self.times > 0 and self.verb in (None, verb) and re.search(self.path, path) is not None


class Hold:
    """A job that stops after a statement until it is released; the other side of a race, made certain."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._released = threading.Event()

    def release(self) -> None:
        self._released.set()

    def wait(self) -> None:
        self.reached.set()
        if not self._released.wait(timeout=60):
            raise Injected("backendError", "the test held this job and never released it")


@dataclass(slots=True, kw_only=True)
class JobFault:
    matching: str
    times: int
    after_statement: int = 0
    error: Refusal | None = None
    hold: Hold | None = None
    polls: int = 0

    def concerns(self, text: str) -> bool:
        return self.times > 0 and re.search(self.matching, text) is not None

    def act(self, statements: int) -> None:
        if statements != self.after_statement:
            return
        if self.hold is not None:
            self.hold.wait()
        if self.error is not None:
            raise self.error


class Faults:
    """`verb` and `path` (a regular expression, searched in the URL's path) say which requests; `matching` (searched in
    the SQL, or in `LOAD dataset.table`) which jobs. Each fault is used `times` times, then is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[RequestFault] = []
        self._jobs: list[JobFault] = []

    def answer(
        self,
        status: int,
        reason: str | None = None,
        *,
        times: int = 1,
        verb: str | None = None,
        path: str = "",
        message: str = "made to fail by the test",
    ) -> None:
        """Answer with an error instead of acting."""
        refusal = Refusal(reason or REASONS.get(status, "invalid"), message, code=status)
        self._requests.append(RequestFault(verb=verb, path=path, times=times, refusal=refusal))

    def drop(
        self, when: Literal["before", "after"], *, times: int = 1, verb: str | None = None, path: str = ""
    ) -> None:
        """Close the connection without an answer, before or after acting on the request."""
        self._requests.append(RequestFault(verb=verb, path=path, times=times, drop=when))

    def fail_job(
        self,
        reason: str = "backendError",
        *,
        after_statement: int = 0,
        times: int = 1,
        matching: str = "",
        message: str = "made to fail by the test",
    ) -> None:
        """Fail a job once that many statements have run; what they did outside a transaction stays done."""
        error = Injected(reason, message)
        self._jobs.append(JobFault(matching=matching, times=times, after_statement=after_statement, error=error))

    def hold_job(self, *, after_statement: int = 0, matching: str = "") -> Hold:
        """Stop a job once that many statements have run, until the test releases it."""
        hold = Hold()
        self._jobs.append(JobFault(matching=matching, times=1, after_statement=after_statement, hold=hold))
        return hold

    def slow_job(self, *, polls: int, times: int = 1, matching: str = "") -> None:
        """Say RUNNING for that many polls, however soon the job is done."""
        self._jobs.append(JobFault(matching=matching, times=times, polls=polls))

    def clear(self) -> None:
        """Nothing goes wrong from now on."""
        with self._lock:
            self._requests.clear()
            self._jobs.clear()

    @property
    def pending(self) -> int:
        """How many faults no request and no job has met yet."""
        return sum(fault.times for fault in self._requests) + sum(fault.times for fault in self._jobs)

    def for_request(self, verb: str, path: str) -> RequestFault | None:
        with self._lock:
            for fault in self._requests:
                if fault.concerns(verb, path):
                    fault.times -= 1
                    return fault
        return None

    def for_job(self, text: str) -> tuple[JobFault, ...]:
        with self._lock:
            found = tuple(fault for fault in self._jobs if fault.concerns(text))
            for fault in found:
                fault.times -= 1
            return found

    def release_all(self) -> None:
        for fault in self._jobs:
            if fault.hold is not None:
                fault.hold.release()
