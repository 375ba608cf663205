"""Waits for a run's turn, as the `concurrency` of its job says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lorchestra.errors import JobBusy
from lorchestra.reporting.observer import Observer
from lorchestra.schemas import Concurrency

T = TypeVar("T")

_PAUSE_MIN_S = 0.01
_PAUSE_MAX_S = 1.0


def take(
    open_: Callable[[], T],
    *,
    run_id: str,
    job_id: str,
    concurrency: Concurrency,
    is_child: bool,
    observer: Observer,
    sleep: Callable[[float], None],
    random: Callable[[], float],
) -> T | None:
    """What `open_` returns once it raises JobBusy no more; None when the run is to be left out."""
    pause_s = _PAUSE_MIN_S
    waits_for = None
    while True:
        try:
            return open_()
        except JobBusy as busy:
            if busy.run_id == run_id:
                # A try of the parent's step was abandoned just now, and the child it waited for is about to end.
                if not is_child:
                    raise
            elif concurrency is Concurrency.FAIL:
                raise
            elif concurrency is Concurrency.SKIP:
                observer.emit("run.skipped", job_id=job_id, busy_run_id=busy.run_id)
                return None
            if busy.run_id != waits_for:
                waits_for = busy.run_id
                observer.emit("run.waiting", job_id=job_id, busy_run_id=busy.run_id)
            sleep(pause_s * (0.5 + random()))
            pause_s = min(_PAUSE_MAX_S, pause_s * 2)
