"""One attempt of a run: its segments in order, each recorded before it is done and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from lorchestra import retry
from lorchestra.compiler.segments import Segment, plan_segments
from lorchestra.errors import RunCancelled, StepFailed, StepTimeout, TotalTimeout
from lorchestra.execution.outcomes import Outcomes, Tries
from lorchestra.execution.preparation import Outputs, Preparation, Prepared, UpstreamFailed
from lorchestra.execution.segment_runner import Spills, run_segment
from lorchestra.handlers.base import StepAnswer
from lorchestra.json_value import JSONObject
from lorchestra.ops import OPS, Flow, RunChildOf, RunClaim, Services, StepContext
from lorchestra.reporting import error_record
from lorchestra.reporting.observer import Observer
from lorchestra.run_identity import RunIdentity
from lorchestra.run_store.protocol import RunStore
from lorchestra.schemas import ErrorRecord, JobInstance, Op, RunStatus, StepManifest, StepOutcome
from lorchestra.supervision.scope import Limits, Scope, StepRaised
from lorchestra.supervision.shift import Shift
from lorchestra.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from lorchestra.execution.run_events import RunEvents


class Execution:
    """Its state is touched by one thread at a time: by the worker, while the supervisor watches, or by the caller."""

    def __init__(
        self,
        instance: JobInstance,
        identity: RunIdentity,
        *,
        store: RunStore,
        services: Services,
        supervisor: Supervisor,
        observer: Observer,
        random: Callable[[], float],
        run_child: RunChildOf,
        earlier: Mapping[str, StepOutcome],
        events: RunEvents | None = None,
        keeps_outputs: bool = False,
    ) -> None:
        """`keeps_outputs` for a parent that may ask for them."""
        plan = plan_segments(instance)
        self._steps = {step.step_id: step for step in instance.steps}
        self._identity = identity
        self._store = store
        self._services = services
        self._supervisor = supervisor
        self._observer = observer
        self._random = random
        self._run_child = run_child
        self._events = events
        self._claim = RunClaim(
            identity, clock=services.clock, confirm=partial(store.advance, identity.run_id, identity.attempt_n)
        )
        self.outcomes = Outcomes(identity, services.clock, earlier)
        self._spills = Spills(store.private, identity, attempt_of=self.outcomes.attempt_of)
        self._outputs = Outputs(
            instance,
            identity,
            store.private,
            attempt_of=self.outcomes.attempt_of,
            named=plan.values_named,
            keeps_all=keeps_outputs,
        )
        self._preparation = Preparation(
            instance,
            identity,
            outcomes=self.outcomes,
            outputs=self._outputs,
            digester=services.digester,
            clock=services.clock,
        )
        for step in instance.steps:
            if step.compiled_skip:
                self.outcomes.skip(step.step_id)
        completed = frozenset(self.outcomes.completed)
        self._todo = deque([segment for segment in plan.segments if not completed.issuperset(segment.steps)])
        self._limits = {
            step.step_id: Limits(idle_s=step.timeout_s, total_s=step.total_timeout_s) for step in instance.steps
        }
        self._shortest_s = min(
            [min(limit.idle_s, limit.total_s or limit.idle_s) for limit in self._limits.values()], default=0.0
        )
        self.may_have_children = any(step.op is Op.JOB_RUN for step in instance.steps)
        self._next: Prepared | None = None
        self._tries: Tries | None = None
        """Of the next segment, from its first try until it succeeds or its policy gives up."""
        self.failure: StepFailed | None = None
        self.failure_record: ErrorRecord | None = None

    def begin(self) -> tuple[StepManifest, ...]:
        """The first manifests, for whoever records them in one transaction with the start of the run."""
        self._next = self._prepare()
        return self._next.manifests if self._next else ()

    def proceed(self) -> None:
        """Carry out what is left, to the end or to a failure.

        Raises RunCancelled, and StoreError when the run cannot be recorded any more.
        """
        try:
            if self._next is None:
                self._advance()
            while self._next is not None:
                self._carry_on()
        except RunCancelled:
            if self._next is not None and self._tries is not None:
                for step_id in self._next.segment.steps:
                    self.outcomes.leave_open(step_id, self._tries)
            raise
        finally:
            if self._supervisor.has_left_work:
                self._fence()

    def tell_started(self) -> None:
        if self._events is not None:
            self._supervisor.run_last(partial(self._events.started, self._claim))
            if self._supervisor.has_left_work:
                # Whoever was left behind may still be claiming the run.
                self._claim = self._claim.anew()

    def tell_ended(self, status: RunStatus, error: ErrorRecord | None) -> None:
        if self._events is not None:
            outcomes = self.outcomes.of_attempt()
            self._supervisor.run_last(partial(self._events.ended, self._claim, status, outcomes, error))

    def status(self) -> RunStatus:
        return RunStatus.FAILED if self.failure else self.outcomes.status()

    def outputs(self) -> dict[str, JSONObject]:
        """The values of the steps: those of a child run, for its parent."""
        return self._outputs.of_all(self.outcomes.completed)

    def _prepare(self) -> Prepared | None:
        return self._preparation.prepare(self._todo.popleft()) if self._todo else None

    def _advance(self) -> None:
        """Make the next segment ready, if there is one to go on with, and record it."""
        self._tries = None
        self._next = self._prepare() if self.failure is None else None
        if self._next is not None:
            self._store.advance(
                self._identity.run_id,
                self._identity.attempt_n,
                outcomes=self.outcomes.unrecorded(),
                manifests=self._next.manifests,
            )
            self.outcomes.mark_recorded()

    def _fence(self) -> None:
        """Claim the run once more, so that work which was left behind holds a claim that is worth nothing."""
        claim, client = self._claim.anew(), self._services.client
        if claim.supersedes and client is not None:
            self._supervisor.run_last(partial(claim.meta, client, next(iter(self._steps))))

    def _carry_on(self) -> None:
        """Let the worker settle one segment after the other; when one fails, weigh whether it is tried again."""
        try:
            self._supervisor.run(self._settle_all, shortest_s=self._shortest_s)
        except StepRaised as raised:
            # What a step raises because it is told to stop is no failure of it.
            self._supervisor.check_cancelled()
            self._weigh(raised.step_id, raised.error)
        except (StepTimeout, TotalTimeout) as timeout:
            # Whoever was left behind in that try keeps the old claim, and cannot write any more.
            self._claim = self._claim.anew()
            self._weigh(timeout.step, timeout)

    def _settle_all(self, shift: Shift[None]) -> None:
        while (prepared := self._next) is not None:
            self._supervisor.check_cancelled()
            tries = self._tries = self._tries or self._take_up(prepared.segment)
            if prepared.failure is not None:
                self._fail(prepared.segment, tries, *prepared.failure)
            else:
                self._complete(prepared.segment, tries, self._try(prepared, tries, shift))
            self._advance()

    def _take_up(self, segment: Segment) -> Tries:
        for step_id in segment.steps:
            self._observer.emit("step.started", step_id=step_id, op=str(self._steps[step_id].op))
        clock = self._services.clock
        return Tries(clock.now(), clock.monotonic())

    def _try(self, prepared: Prepared, tries: Tries, shift: Shift[None]) -> dict[str, StepAnswer]:
        tries.count += 1
        segment, params, claim = prepared.segment, prepared.params, self._claim
        scope = Scope(segment.steps, self._services.clock.monotonic, self._limits, began=tries.began_s)

        def start(step_id: str, streams: Mapping[str, Iterator[Any]]) -> Flow | StepAnswer:
            step = self._steps[step_id]
            return OPS[step.op](
                StepContext(
                    identity=self._identity,
                    step=step,
                    params={**params[step_id], **streams} if streams else params[step_id],
                    scope=scope,
                    claim=claim,
                    services=self._services,
                    run_child=self._run_child,
                )
            )

        work = partial(run_segment, segment, start, scope=scope, spills=self._spills)
        return shift.attempt(work, scope)

    def _weigh(self, step_id: str, error: BaseException) -> None:
        """After a failed try: pause, so that there can be another, or fail."""
        prepared, tries = self._next, self._tries
        assert prepared is not None, "what failed was prepared"
        assert tries is not None, "what failed was tried"
        failures = tries.add_error(step_id, self._describe(error))
        decision = retry.decide(self._steps[step_id].retry, error, failures=failures, random=self._random)
        if isinstance(decision, retry.GiveUp) or self._is_over_by_then(decision.delay_s, prepared.segment, tries):
            self._fail(prepared.segment, tries, step_id, error)
            self._advance()
            return
        self._observer.emit("step.retrying", error=error, step_id=step_id, delay_s=round(decision.delay_s, 3))
        self._supervisor.sleep(decision.delay_s)

    def _is_over_by_then(self, delay_s: float, segment: Segment, tries: Tries) -> bool:
        """Whether the total time of a step will be over after a pause, so that waiting would be in vain."""
        taken_s = self._services.clock.monotonic() + delay_s - tries.began_s
        totals = [self._limits[step_id].total_s for step_id in segment.steps]
        return any(total_s is not None and taken_s >= total_s for total_s in totals)

    def _complete(self, segment: Segment, tries: Tries, answers: Mapping[str, StepAnswer]) -> None:
        for step_id in segment.steps:
            answer = answers[step_id]
            output_ref = self._outputs.keep(step_id, answer.output)
            self.outcomes.complete(step_id, answer, tries, output_ref=output_ref)
            counts: Mapping[str, Any] = answer.counts
            self._observer.emit("step.completed", step_id=step_id, tries=tries.count, **counts)

    def _fail(self, segment: Segment, tries: Tries, step_id: str, error: BaseException) -> None:
        record = self._describe(error)
        self._record_failure(step_id, error, record, tries)
        downstream = segment.downstream_of(step_id) if self._steps[step_id].continue_on_error else ()
        for other in segment.steps:
            if other in downstream:
                # The run goes on, so the steps that pull from this one have to be settled too.
                failed = UpstreamFailed(step=other, failed=step_id)
                self._record_failure(other, failed, self._describe(failed), tries)
            elif other != step_id:
                self.outcomes.leave_open(other, tries)

    def _record_failure(self, step_id: str, error: BaseException, record: ErrorRecord, tries: Tries) -> None:
        self.outcomes.fail(step_id, record, tries)
        self._observer.emit("step.failed", error=error, step_id=step_id, tries=tries.count)
        if self.failure is None and not self._steps[step_id].continue_on_error:
            self.failure = StepFailed(step=step_id, tries=max(1, tries.count), cause=error_record.summary(record))
            self.failure.__cause__ = error
            self.failure_record = self._describe(self.failure)

    def _describe(self, error: BaseException) -> ErrorRecord:
        return error_record.describe(error, self._services.digester, root=self._identity.root)
