"""The work in processes of its own, batch by batch, with the outcomes in the order of the records."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Self

import orjson

from lorchestra.callable.canonizer import frames
from lorchestra.callable.canonizer.validation import Failure
from lorchestra.callable.canonizer.work import About, Outcome, WorkPlan
from lorchestra.callable.context import CancelToken
from lorchestra.errors import ConfigurationError

CRASHED = "crashed"
"""The rule of a record that ends the process which works on it."""

BATCH_RECORDS = 100
BATCH_BYTES = 256 * 1024

START = "import sys; sys.path[:] = sys.argv[1:]; from lorchestra.callable.canonizer.child import main; main()"
"""The code of a process. It is given the places that this one imports from."""

_TICK_S = 0.1
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as they are sent, encoded one by one."""

    records: tuple[bytes, ...]


def encoded(about: About, payload: Any) -> bytes:
    return orjson.dumps([about, payload])


class Processes:
    """Started when they are first needed, and gone when the block ends. For one thread, which pulls the outcomes."""

    def __init__(self, plan: WorkPlan, count: int, token: CancelToken, *, start: str = START) -> None:
        self._plan = plan
        self._count = count
        self._token = token
        self._start = start
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lorchestra-canonizer")
        self._idle: SimpleQueue[WorkProcess] = SimpleQueue()
        self._all: list[WorkProcess] = []
        self._lock = threading.Lock()
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._is_over = True
            begun = tuple(self._all)
        with suppress(Empty):
            while True:
                self._idle.get_nowait().end()
        for process in begun:
            process.end_at_once()
        self._threads.shutdown(cancel_futures=True)
        for process in begun:
            process.close()

    def outcomes(self, batches: Iterable[Batch]) -> Iterator[tuple[Outcome, ...]]:
        """Those of each batch, in order; a few batches are ahead of what is pulled."""
        pending: deque[Future[tuple[Outcome, ...]]] = deque()
        for batch in batches:
            pending.append(self._threads.submit(self._work_on, batch))
            if len(pending) > 2 * self._count:
                yield self._wait(pending.popleft())
        while pending:
            yield self._wait(pending.popleft())

    def _wait(self, future: Future[tuple[Outcome, ...]]) -> tuple[Outcome, ...]:
        while True:
            try:
                outcomes = future.result(timeout=_TICK_S)
            except NotYet:
                self._token.check()
                continue
            self._token.progress()
            return outcomes

    def _work_on(self, batch: Batch) -> tuple[Outcome, ...]:
        process = self._take()
        try:
            outcomes = process.answer(batch)
        except EOFError:
            process.end_at_once()
            process.close()
            with self._lock:
                self._all.remove(process)
            if len(batch.records) > 1:
                # One of them ends the process: which one shows when each is alone.
                return tuple(outcome for record in batch.records for outcome in self._work_on(Batch((record,))))
            return (Failure(schema=self._plan.transform, rule=CRASHED),)
        self._idle.put(process)
        return outcomes

    def _take(self) -> WorkProcess:
        with suppress(Empty):
            return self._idle.get_nowait()
        with self._lock:
            if self._is_over:
                raise EOFError
            self._all.append(process := WorkProcess(self._start))
        process.begin(self._plan)
        return process


class WorkProcess:
    """One of them, by its pipes."""

    def __init__(self, start: str = START) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", start, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What a crash says may quote a record.
            stderr=subprocess.DEVNULL,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._asked, self._answers = self._child.stdin, self._child.stdout

    @property
    def pid(self) -> int:
        return self._child.pid

    def begin(self, plan: WorkPlan) -> None:
        try:
            frames.write(self._asked, orjson.dumps(plan.to_dict()))
            frames.read(self._answers)
        except (EOFError, OSError) as error:
            raise ConfigurationError(
                f"a process for the canonizer ended before it began (exit code {self._child.wait()}); "
                "see that this Python can start another one, or set the step's `workers` to 1"
            ) from error

    def answer(self, batch: Batch) -> tuple[Outcome, ...]:
        """Raises EOFError when the process is gone."""
        try:
            frames.write(self._asked, b"[" + b",".join(batch.records) + b"]")
        except OSError:
            raise EOFError from None
        return tuple(Failure(**one) if isinstance(one, dict) else one for one in frames.read(self._answers))

    def end(self) -> None:
        """One that waits for work ends by itself when there is none to come."""
        self._asked.close()
        try:
            self._child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.end_at_once()

    def end_at_once(self) -> None:
        """Whoever waits for its answer is told that there is none."""
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        self._answers.close()
        # What could not be sent, nobody waits for.
        with suppress(OSError):
            self._asked.close()
