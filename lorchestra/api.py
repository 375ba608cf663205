"""The public functions: a request to run is compiled, previewed, carried out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

from lorchestra import envelopes
from lorchestra.errors import EnvelopeError, Problem
from lorchestra.preview import preview
from lorchestra.reporting.observer import Observer
from lorchestra.result import ExecutionResult
from lorchestra.schemas import Envelope, JobInstance
from lorchestra.supervision.cancellation import Cancellation
from lorchestra.workspace import SERVICES, Given, Workspace


class Options(TypedDict, total=False):
    """What may be said beside a request."""

    profile: str | None
    observer: Observer | None
    cancellation: Cancellation | None
    keep_values: bool


def execute(envelope: Mapping[str, Any], **options: Unpack[Options]) -> ExecutionResult:
    """Run a job as an envelope asks, in the project that the working directory lies in.

    A run that fails is a result. What keeps it from starting is an exception, and leaves no trace: DefinitionError for
    the definition, the payload or the envelope itself, ConfigurationError for the settings, StoreError for the store.
    """
    request, given = read_envelope(envelope)
    with _workspace(request, given, **options) as workspace:
        if request.dry_run:
            return preview(workspace, request)
        return workspace.execute(request)


def resume(
    run_id: str, *, accept_changes: bool = False, definitions_dir: str | None = None, **options: Unpack[Options]
) -> ExecutionResult:
    """Continue a run that failed, was cancelled or interrupted; the id may be cut short."""
    with Workspace.open(definitions_dir=Path(definitions_dir) if definitions_dir else None, **options) as workspace:
        return workspace.resume(run_id, accept_changes=accept_changes)


def resume_or_execute(
    envelope: Mapping[str, Any], *, accept_changes: bool = False, **options: Unpack[Options]
) -> ExecutionResult:
    """Continue the job's last run when that did not finish, else start one."""
    request, given = read_envelope(envelope)
    with _workspace(request, given, **options) as workspace:
        unfinished = workspace.last_unfinished(request.job_id, request.namespace)
        if unfinished is None:
            return workspace.execute(request)
        if request.ctx or request.payload:
            raise EnvelopeError(
                Problem(
                    found=f"a payload or ctx was given, and run {unfinished} is to be resumed",
                    expected="a run is resumed with the payload and ctx it was started with",
                    hint="leave them out, or start a new run without --resume",
                )
            )
        return workspace.resume(unfinished, accept_changes=accept_changes)


def compile(envelope: Mapping[str, Any], *, profile: str | None = None) -> JobInstance:
    """The job of an envelope with @ctx and @payload resolved and its conditions decided. Nothing is run or recorded."""
    request, given = read_envelope(envelope)
    with _workspace(request, given, profile=profile) as workspace:
        return workspace.compile(request)


def read_envelope(envelope: Mapping[str, Any]) -> tuple[Envelope, Given]:
    """The request, and apart from it the live objects that came with it. Raises EnvelopeError with every mistake."""
    request = envelopes.read(envelope, services=SERVICES)
    return request, Given(**{key: envelope[key] for key in SERVICES if envelope.get(key) is not None})


def _workspace(request: Envelope, given: Given, **options: Unpack[Options]) -> Workspace:
    definitions_dir = Path(request.definitions_dir) if request.definitions_dir else None
    return Workspace.open(definitions_dir=definitions_dir, given=given, **options)
