"""Running a job from the command line: signals, logging, and what is printed at the end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from lorchestra.cli import exit_codes, output
from lorchestra.cli.state import State

if TYPE_CHECKING:
    from lorchestra.api import Options
    from lorchestra.pipelines.result import PipelineResult
    from lorchestra.reporting.observer import Observer
    from lorchestra.result import ExecutionResult
    from lorchestra.supervision.cancellation import Cancellation

_SIGNALS = {signal.SIGINT: exit_codes.INTERRUPTED, signal.SIGTERM: exit_codes.TERMINATED}


class Live:
    """A command that runs jobs: what it is told by signals, and the options that go with it."""

    def __init__(self, options: Options, cancellation: Cancellation) -> None:
        self.options = options
        self._cancellation = cancellation

    def exit_code(self, result: ExecutionResult | PipelineResult) -> int:
        if result.status == "cancelled" and self._cancellation.reason == "SIGTERM":
            return exit_codes.TERMINATED
        return exit_codes.BY_STATUS[result.status]


@contextmanager
def running(state: State, *, keep_values: bool = False, observer: Observer | None = None) -> Iterator[Live]:
    """SIGINT and SIGTERM ask the run to stop; a second one ends the process at once. What the run does is logged, and
    told to the observer.
    """
    # Imported here because `--help` must not pay for them.
    from lorchestra.reporting import log
    from lorchestra.reporting.observer import Both
    from lorchestra.supervision.cancellation import Cancellation

    state.configure_logging()
    cancellation = Cancellation()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        cancellation.request(signal.Signals(number).name)

    before = {number: signal.signal(number, ask_to_stop) for number in _SIGNALS}
    try:
        yield Live(
            {
                "profile": state.profile,
                "observer": log.LogObserver() if observer is None else Both(log.LogObserver(), observer),
                "cancellation": cancellation,
                "keep_values": keep_values,
            },
            cancellation,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_result(result: ExecutionResult, *, as_json: bool) -> None:
    if as_json:
        output.as_json(result.to_dict())
    elif result.preview is not None:
        output.as_yaml(result.preview)
    elif result.status == "cancelled" and result.run_record is None:
        output.error(f"cancelled while it waited for another run of the job: {result.error}")
    elif result.run_record is None:
        output.line("skipped: another run of the job is active (concurrency: skip)")
    else:
        _print_run(result)


def _print_run(result: ExecutionResult) -> None:
    record, attempt = result.run_record, result.attempt
    assert record is not None
    assert attempt is not None
    took = output.lasted(attempt.started_at, attempt.completed_at)
    again = f" (attempt {attempt.attempt_n})" if attempt.attempt_n > 1 else ""
    output.line(f"{result.status}: {record.job_id} {record.job_version} in {took}{again}, run {record.run_id}")
    outcomes = {outcome.step_id: outcome for outcome in record.step_outcomes}
    width = max(map(len, record.step_ids))
    for step_id in record.step_ids:
        outcome = outcomes.get(step_id)
        status = outcome.status.value if outcome else "not done"
        counts = output.counted(outcome.counts.items()) if outcome else ""
        output.line(f"  {step_id:<{width}}  {status:<9}  {counts}".rstrip())
    if result.error:
        output.error(f"error: {result.error}")
        output.error(f"details: lorchestra runs show {record.run_id}")
    if result.status in ("failed", "cancelled"):
        output.error(f"continue it with: lorchestra runs resume {record.run_id}")
