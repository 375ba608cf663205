"""Runs compiled jobs: opens the run, carries out its attempt, closes it, whatever happens in between."""

from __future__ import annotations

import random as system_random
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lorchestra import envelopes, json_value
from lorchestra.callable import CallableRegistry, default_registry
from lorchestra.callable.context import CancelToken
from lorchestra.clock import Clock, SystemClock, child_run_id, new_run_id
from lorchestra.connections.known import Connections
from lorchestra.errors import DefinitionError, Problem, RunCancelled, RunNotFound, StaleAttempt, StoreError
from lorchestra.execution import turn
from lorchestra.execution.attempt import Execution
from lorchestra.execution.request import Request
from lorchestra.handlers.base import ChildRun, Handler
from lorchestra.handlers.registry import HandlerRegistry
from lorchestra.json_value import JSONObject
from lorchestra.ops import Services
from lorchestra.ops.call import params_of
from lorchestra.reporting import error_record, log
from lorchestra.reporting.observer import Observer, SilentObserver
from lorchestra.resources import ResourceFolder
from lorchestra.result import ExecutionResult
from lorchestra.run_identity import RunIdentity, value_name
from lorchestra.run_store.memory import InMemoryRunStore
from lorchestra.run_store.private_values import KEPT
from lorchestra.run_store.protocol import RunFilter, RunStore
from lorchestra.schemas import (
    AttemptRecord,
    Backend,
    Concurrency,
    Envelope,
    ErrorRecord,
    JobInstance,
    Op,
    RunRecord,
    RunStatus,
    StepOutcome,
)
from lorchestra.storacle.protocol import StoracleClient
from lorchestra.supervision.cancellation import Cancellation
from lorchestra.supervision.supervisor import Supervisor
from lorchestra.supervision.workers import Workers

if TYPE_CHECKING:
    from lorchestra.execution.run_events import RunEvents

T = TypeVar("T")

FINISHED = frozenset({RunStatus.COMPLETED, RunStatus.PARTIAL})


class Executor:
    """Holds the live objects that runs need. One executor may run jobs from several threads."""

    def __init__(
        self,
        store: RunStore | None = None,
        handlers: HandlerRegistry | None = None,
        backends: Mapping[str, Handler] | None = None,
        *,
        client: StoracleClient | None = None,
        callables: CallableRegistry | None = None,
        root: Path | None = None,
        content: Path | None = None,
        built_in_content: Path | None = None,
        connections: Connections | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = system_random.random,
        observer: Observer | None = None,
        grace_s: float = 5.0,
        keep_values: bool = False,
        logs_events: bool = False,
    ) -> None:
        """`logs_events` says of each run in the event log, through the client, that it started and how it ended."""
        if backends is not None:
            warnings.warn(
                "Executor(backends=...) is deprecated; pass handlers=HandlerRegistry({...})",
                DeprecationWarning,
                stacklevel=2,
            )
            handlers = handlers or HandlerRegistry({Backend(name): handler for name, handler in backends.items()})
        self.store: RunStore = store if store is not None else InMemoryRunStore()
        self._root = (root or Path.cwd()).resolve()
        self._clock = clock or SystemClock()
        self._random = random
        self._observer = observer or SilentObserver()
        self._grace_s = grace_s
        self._keep_values = keep_values
        self._logs_events = logs_events
        self._workers = Workers()
        self._services = Services(
            callables=(callables or default_registry()).copy(),
            handlers=handlers or HandlerRegistry({}),
            client=client,
            resources=ResourceFolder(content or self._root, *([built_in_content] if built_in_content else ())),
            connections=connections or Connections(),
            clock=self._clock,
            digester=self.store.digester,
        )

    def check(self, instance: JobInstance, above: tuple[str, ...] = ()) -> None:
        """Raise DefinitionError or ConfigurationError for what could never be carried out, before anything is.

        `above` are the ids of the jobs that it is to run under.
        """
        for step in instance.steps:
            if step.compiled_skip:
                continue
            if step.op is Op.CALL:
                loaded = self._services.callables.get(step.params["callable"]).load()
                if loaded.wants_connections and not step.run_refs:
                    self._services.connections.only(*loaded.connections(params_of(step.params)))
            elif step.op.backend not in (Backend.CALLABLE, Backend.NATIVE):
                self._services.handlers.handler_for(step.op).check(step, (*above, instance.job_id))
            if step.op is Op.STORACLE_SUBMIT or "read" in step.params:
                self._services.storacle()

    def execute(
        self,
        instance: JobInstance,
        envelope: Envelope | Mapping[str, Any] | None = None,
        *,
        cancellation: Cancellation | None = None,
    ) -> ExecutionResult:
        """Run a compiled job. A run that fails is a result, not an exception; what keeps it from starting is one."""
        request = Request(envelope=_as_envelope(instance, envelope), cancellation=cancellation or Cancellation())
        return self._start(instance, request).result

    def resume(
        self,
        run_id: str,
        instance: JobInstance,
        envelope: Envelope | Mapping[str, Any] | None = None,
        *,
        accept_changes: bool = False,
        cancellation: Cancellation | None = None,
    ) -> ExecutionResult:
        """Continue a run that failed, was cancelled or interrupted, from its first segment without an outcome."""
        request = Request(
            envelope=_as_envelope(instance, envelope),
            cancellation=cancellation or Cancellation(),
            accept_changes=accept_changes,
        )
        return self._continue(self.store.get(run_id), instance, request).result

    def _start(self, instance: JobInstance, request: Request) -> ChildRun:
        self.check(instance, request.lineage)
        now = self._clock.now()
        run_id = request.child_run_id or new_run_id(now)
        identity = self._identity(run_id, 1, instance, request, now)
        record = request.record(identity, instance, self._services.digester)
        definition = instance.definition
        if definition is None:
            raise DefinitionError(
                Problem(
                    found=f"the instance of '{instance.job_id}' came without its definition",
                    expected="expected what compile_job returned: a run keeps the definition it ran",
                )
            )
        with self._supervisor(request) as supervisor:
            execution = self._execution(instance, identity, request, supervisor, earlier={})
            manifests, values = execution.begin(), request.private_values

            def open_run() -> bool:
                exclusive = instance.concurrency is not Concurrency.ALLOW
                self.store.open_run(record, definition, manifests, exclusive=exclusive, values=values)
                return True

            try:
                opened = self._in_turn(open_run, run_id, instance, request, supervisor)
            except RunCancelled as cancelled:
                return _not_begun("cancelled", error=str(cancelled))
            if not opened:
                return _not_begun("skipped")
            return self._carry_out(execution, record, identity, request)

    def _continue(self, record: RunRecord, instance: JobInstance, request: Request) -> ChildRun:
        self.check(instance, request.lineage)
        accepted = request.basis(record, instance, code=self._code_of(instance), digester=self._services.digester)
        now = self._clock.now()
        # All that can go wrong goes wrong before the attempt is opened, or where it is closed again.
        identity = self._identity(record.run_id, 0, instance, request, now)
        exclusive = instance.concurrency is not Concurrency.ALLOW
        open_attempt = partial(
            self.store.open_attempt,
            record.run_id,
            at=now,
            exclusive=exclusive,
            accepted=accepted,
            definition=instance.definition,
            values=None if accepted is None else {"envelope": request.envelope_values},
        )
        with self._supervisor(request) as supervisor:
            try:
                attempt_n = self._in_turn(open_attempt, record.run_id, instance, request, supervisor)
            except RunCancelled as cancelled:
                return _not_begun("cancelled", error=str(cancelled))
            if attempt_n is None:
                return _not_begun("skipped")
            identity = replace(identity, attempt_n=attempt_n)
            # Read again: what the attempt before this one wrote last, it wrote before this one was opened.
            record = self.store.get(record.run_id)
            earlier = {outcome.step_id: outcome for outcome in record.step_outcomes}
            execution = self._execution(instance, identity, request, supervisor, earlier=earlier)
            return self._carry_out(execution, record, identity, request)

    def _run_child(
        self,
        parent: RunIdentity,
        parent_request: Request,
        step_id: str,
        token: CancelToken,
        instance: JobInstance,
        envelope: Envelope,
    ) -> ChildRun:
        """Start the child of a step; or take up the one that an earlier try or attempt of the step started."""
        request = replace(parent_request, envelope=envelope, parent=parent, parent_step_id=step_id, token=token)
        run_id = child_run_id(parent.run_id, step_id)
        try:
            record = self.store.get(run_id)
        except RunNotFound:
            return self._start(instance, request)
        if record.status not in FINISHED:
            return self._continue(record, instance, request)
        if not request.keeps_outputs:
            return ChildRun(result=ExecutionResult.of(record), outputs={})
        outputs = self.store.private.get(run_id, value_name("outputs", record.attempts[-1].attempt_n))
        return ChildRun(result=ExecutionResult.of(record), outputs=outputs)  # type: ignore[arg-type]  # put below

    def _carry_out(self, execution: Execution, record: RunRecord, identity: RunIdentity, request: Request) -> ChildRun:
        with log.bound(run_id=identity.run_id, job_id=identity.job_id):
            return self._carry_out_bound(execution, record, identity, request)

    def _carry_out_bound(
        self, execution: Execution, record: RunRecord, identity: RunIdentity, request: Request
    ) -> ChildRun:
        run_id, is_child = identity.run_id, request.parent is not None
        self._observer.emit("run.started", attempt_n=identity.attempt_n)
        outputs: dict[str, JSONObject] = {}
        try:
            execution.tell_started()
            execution.proceed()
            status, error = execution.status(), execution.failure_record
            if request.keeps_outputs and status in FINISHED:
                outputs = execution.outputs()
                # The parent may be killed before it records the outcome of its step, and then asks again.
                self.store.private.put(run_id, identity.value_name("outputs"), outputs)
            elif not is_child and status in FINISHED and self._keep_values:
                # Said before the run ends: from then on, whoever opens the store next forgets values left over.
                self.store.private.put(run_id, KEPT, True)
        except RunCancelled as cancelled:
            status, error = RunStatus.CANCELLED, self._describe(cancelled)
        except StaleAttempt:
            # The run belongs to another attempt now; there is nothing here to close.
            raise
        except BaseException as unexpected:
            self._close_after(unexpected, execution, record, identity)
            raise
        ended = self._close(execution, record, identity, status, error)
        if status in FINISHED and not is_child and not self._keep_values:
            self._forget_values(run_id, may_have_children=execution.may_have_children)
        self._observer.emit("run.ended", status=status.value)
        return ChildRun(result=ExecutionResult.of(ended), outputs=outputs)

    def _close(
        self,
        execution: Execution,
        record: RunRecord,
        identity: RunIdentity,
        status: RunStatus,
        error: ErrorRecord | None,
    ) -> RunRecord:
        """Tell and record the end; the run as the store now has it."""
        execution.tell_ended(status, error)
        at = self._clock.now()
        self.store.close_run(
            identity.run_id,
            identity.attempt_n,
            status=status,
            at=at,
            outcomes=execution.outcomes.unrecorded(),
            error=error,
        )
        attempt = AttemptRecord(
            run_id=identity.run_id,
            attempt_n=identity.attempt_n,
            started_at=identity.started_at,
            completed_at=at,
            status=status,
            step_outcomes=execution.outcomes.of_attempt(),
        )
        earlier = tuple(one for one in record.attempts if one.attempt_n < identity.attempt_n)
        return record.model_copy(
            update={"status": status, "completed_at": at, "error": error, "attempts": (*earlier, attempt)}
        )

    def _close_after(
        self, error: BaseException, execution: Execution, record: RunRecord, identity: RunIdentity
    ) -> None:
        try:
            self._close(execution, record, identity, RunStatus.FAILED, self._describe(error))
        except StoreError as store_error:
            # The first error is what the caller must hear of; without the store, the run will read interrupted.
            error.add_note(f"and the run could not be closed: {store_error}")

    def _in_turn(
        self, open_: Callable[[], T], run_id: str, instance: JobInstance, request: Request, supervisor: Supervisor
    ) -> T | None:
        return turn.take(
            open_,
            run_id=run_id,
            job_id=instance.job_id,
            concurrency=instance.concurrency,
            is_child=request.parent is not None,
            observer=self._observer,
            sleep=supervisor.sleep,
            random=self._random,
        )

    def _code_of(self, instance: JobInstance) -> dict[str, str]:
        names = {step.params["callable"] for step in instance.steps if step.op is Op.CALL and not step.compiled_skip}
        return {name: self._services.callables.get(name).content_hash for name in sorted(names)}

    def _identity(
        self, run_id: str, attempt_n: int, instance: JobInstance, request: Request, now: datetime
    ) -> RunIdentity:
        return RunIdentity(
            run_id=run_id,
            attempt_n=attempt_n,
            started_at=now,
            job_id=instance.job_id,
            job_version=instance.job_version,
            smoke_namespace=request.envelope.smoke_namespace,
            read_from=request.envelope.read_from,
            lineage=(*request.lineage, instance.job_id),
            payload_sha256=json_value.sha256(request.envelope.payload),
            code=self._code_of(instance),
            root=self._root,
        )

    def _execution(
        self,
        instance: JobInstance,
        identity: RunIdentity,
        request: Request,
        supervisor: Supervisor,
        *,
        earlier: Mapping[str, StepOutcome],
    ) -> Execution:
        return Execution(
            instance,
            identity,
            store=self.store,
            services=self._services,
            supervisor=supervisor,
            observer=self._observer,
            random=self._random,
            run_child=partial(self._run_child, identity, request),
            earlier=earlier,
            events=self._events_of(identity),
            keeps_outputs=request.keeps_outputs,
        )

    def _events_of(self, identity: RunIdentity) -> RunEvents | None:
        client = self._services.client
        if not self._logs_events or client is None:
            return None
        # Imported here because what a plan is made of is needed by jobs with plans and by events alone.
        from lorchestra.execution.run_events import RunEvents

        return RunEvents(identity, client, self._clock, self._observer)

    def _supervisor(self, request: Request) -> Supervisor:
        depth = len(request.parent.lineage) if request.parent else 0
        return Supervisor(
            workers=self._workers,
            cancellation=request.cancellation,
            monotonic=self._clock.monotonic,
            # A child has to end within the time its parent allows the step that waits for it.
            grace_s=self._grace_s / 2**depth,
            progress=request.token.progress if request.token else None,
            check=request.token.check if request.token else None,
        )

    def _forget_values(self, run_id: str, *, may_have_children: bool) -> None:
        if may_have_children:
            for child in self.store.list_runs(RunFilter(parent_run_id=run_id, limit=10_000)):
                self._forget_values(child.run_id, may_have_children=True)
        self.store.private.remove(run_id)

    def _describe(self, error: BaseException) -> ErrorRecord:
        return error_record.describe(error, self._services.digester, root=self._root)


def _not_begun(status: str, *, error: str | None = None) -> ChildRun:
    """Of a request that ended while it waited for its turn: there is nothing that could be closed."""
    return ChildRun(result=ExecutionResult(status=status, error=error), outputs={})


def _as_envelope(instance: JobInstance, envelope: Envelope | Mapping[str, Any] | None) -> Envelope:
    if isinstance(envelope, Envelope):
        return envelope
    return envelopes.read({"job_id": instance.job_id, **(envelope or {})})
