"""What `runs show` prints: a run, its steps, its attempts, the runs it started, and every error with its causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from lorchestra.cli import output
from lorchestra.reporting import error_record
from lorchestra.schemas import ErrorRecord, RunRecord, StepManifest, StepOutcome

_DIGEST_SHOWN = 8
_HASH_SHOWN = 12


def show(run: RunRecord, manifests: Sequence[StepManifest], children: Sequence[RunRecord]) -> None:
    for name, value in _heading(run):
        output.line(f"{name:<11}{value}")
    output.line()
    ops = {manifest.step_id: manifest.op.value for manifest in manifests}
    output.table(("STEP", "OP", "STATUS", "STARTED", "TOOK", "TRIES", "COUNTS", "DIGEST"), _step_rows(run, ops))
    if children:
        output.line()
        output.table(
            ("CHILD RUN", "STEP", "JOB", "STATUS", "TOOK"),
            (
                (
                    child.run_id,
                    child.parent_step_id,
                    f"{child.job_id} {child.job_version}",
                    child.status.value,
                    output.lasted(child.started_at, child.completed_at),
                )
                for child in reversed(children)
            ),
        )
    if len(run.attempts) > 1:
        output.line()
        output.table(
            ("ATTEMPT", "STATUS", "STARTED (UTC)", "TOOK", "DONE"),
            (
                (
                    attempt.attempt_n,
                    attempt.status.value,
                    output.when(attempt.started_at),
                    output.lasted(attempt.started_at, attempt.completed_at),
                    ", ".join(_settled(attempt.step_outcomes)) or "-",
                )
                for attempt in run.attempts
            ),
        )
    for text in _error_lines(run):
        output.line(text)


def _heading(run: RunRecord) -> Iterator[tuple[str, str]]:
    yield "run", run.run_id
    yield "job", f"{run.job_id} {run.job_version} (sha256 {run.job_def_sha256[:_HASH_SHOWN]})"
    for basis in run.accepted:
        yield (
            "changed",
            f"from attempt {basis.attempt_n}: {basis.job_version} (sha256 {basis.job_def_sha256[:_HASH_SHOWN]})",
        )
    yield "status", run.status.value
    yield "namespace", run.namespace
    if run.envelope.leave_out:
        yield "left out", ", ".join(run.envelope.leave_out)
    yield "started", f"{output.when(run.started_at)} UTC"
    yield "took", output.lasted(run.started_at, run.completed_at)
    if run.parent_run_id:
        yield "parent", f"{run.parent_run_id}, step {run.parent_step_id}"
    for name, content_hash in run.code.items():
        yield "code", f"{name} (sha256 {str(content_hash)[:_HASH_SHOWN]})"


def _step_rows(run: RunRecord, ops: dict[str, str]) -> Iterator[tuple[object, ...]]:
    outcomes = {outcome.step_id: outcome for outcome in run.step_outcomes}
    for step_id in run.step_ids:
        op = ops.get(step_id, "")
        if (outcome := outcomes.get(step_id)) is None:
            # Asked, but not settled: at work, or left when the run ended.
            asked = "running" if run.status == "running" else "stopped"
            yield step_id, op, asked if op else "not done", "", "", "", "", ""
            continue
        yield (
            step_id,
            op,
            outcome.status.value,
            output.time_of_day(outcome.started_at),
            output.lasted(outcome.started_at, outcome.completed_at) if outcome.started_at else "",
            outcome.tries if outcome.started_at else "",
            output.counted(outcome.counts.items()),
            (outcome.digest or "")[:_DIGEST_SHOWN],
        )


def _settled(outcomes: Sequence[StepOutcome]) -> Iterator[str]:
    """How many steps came to which end."""
    for status, same in groupby(sorted(outcome.status.value for outcome in outcomes)):
        yield f"{len(list(same))} {status}"


def _error_lines(run: RunRecord) -> Iterator[str]:
    for attempt in run.attempts:
        where = f"attempt {attempt.attempt_n}, " if len(run.attempts) > 1 else ""
        for outcome in attempt.step_outcomes:
            for number, error in enumerate(outcome.errors, start=1):
                yield ""
                yield f"{where}{outcome.step_id}, error {number} of {len(outcome.errors)}:"
                yield from _indented(error)
    if run.error is not None:
        yield ""
        yield "the run ended with:"
        # The causes of a step's failure stand above, as the errors of the step.
        is_told = any(outcome.error is not None for outcome in run.step_outcomes)
        yield from _indented(run.error.model_copy(update={"cause": None}) if is_told else run.error)


def _indented(error: ErrorRecord) -> Iterator[str]:
    return (f"  {line}" for line in error_record.render(error))
