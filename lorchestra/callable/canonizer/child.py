"""A process that works on records: what the canonizer starts where one processor is not enough, or time has to end.

It is given a plan of the work, and then batches of records; it answers each with the outcomes, in order. It ends when
its input does, so it does not outlive whoever started it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

import orjson

from lorchestra.callable.canonizer import engines, frames
from lorchestra.callable.canonizer.engines.base import TIME_LIMIT
from lorchestra.callable.canonizer.validation import Failure
from lorchestra.callable.canonizer.work import Outcome, WorkPlan

_DEPTH = 10_000
"""How deep Python may go: the engine in Python takes several calls for one of an expression."""


class _TimeIsUp(BaseException):
    """No Exception, which an engine might take for one of its own."""


def main() -> None:
    # Whoever stops a run by a signal may send it to all its processes; the one that has started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # What a library prints may not come between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(EOFError, BrokenPipeError):
        _serve(sys.stdin.buffer, answers)


def _serve(asked: IO[bytes], answers: IO[bytes]) -> None:
    sys.setrecursionlimit(_DEPTH)
    plan = WorkPlan.from_dict(frames.read(asked))
    engine = None if plan.source is None else engines.find(plan.engine)
    work = plan.make(engine).on
    if engine is not None and not engine.can_be_stopped:
        work = _stopped_after(plan.limit_s, work, plan.transform)
    frames.write(answers, b"true")
    while True:
        outcomes = [work(about, payload) for about, payload in frames.read(asked)]
        frames.write(answers, orjson.dumps([_told(outcome) for outcome in outcomes]))


def _told(outcome: Outcome) -> Any:
    return asdict(outcome) if isinstance(outcome, Failure) else list(outcome)


def _stopped_after(limit_s: float, work: Callable[..., Outcome], name: str) -> Callable[..., Outcome]:
    """The same work, which ends at its limit wherever it is, also within a pattern: Python looks for signals there."""

    def ring(*_: object) -> None:
        raise _TimeIsUp

    def on(about: Any, payload: Any) -> Outcome:
        try:
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            try:
                return work(about, payload)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except _TimeIsUp:
            return Failure(schema=name, rule=TIME_LIMIT)

    signal.signal(signal.SIGALRM, ring)
    return on
