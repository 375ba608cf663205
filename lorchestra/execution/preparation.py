"""Makes a segment ready: references to earlier values are resolved, and what each step is asked is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from lorchestra.clock import Clock
from lorchestra.compiler.outputs import SHAPES
from lorchestra.compiler.segments import Segment
from lorchestra.digest import Digester
from lorchestra.errors import PermanentError
from lorchestra.execution.outcomes import Outcomes
from lorchestra.handlers.compute import prompt_hash
from lorchestra.json_value import JSONObject
from lorchestra.language import references
from lorchestra.language.references import RunRef
from lorchestra.run_identity import RunIdentity, value_name
from lorchestra.run_store.protocol import PrivateValues
from lorchestra.schemas import JobInstance, JobStepInstance, Op, StepManifest
from lorchestra.schemas.job_def import IdempotencyScope


class UpstreamFailed(PermanentError):
    def __init__(self, *, step: str, failed: str) -> None:
        super().__init__(f"step '{step}' refers to step '{failed}', which did not complete")


# Not frozen: one is made for each step, and freezing takes longer than making it.
@dataclass(slots=True, kw_only=True)
class Prepared:
    """A segment whose references are resolved; or the step of it that could not be, and why."""

    segment: Segment
    params: Mapping[str, Mapping[str, Any]]
    manifests: tuple[StepManifest, ...]
    failure: tuple[str, PermanentError] | None = None


class _Asked(NamedTuple):
    """What a step is asked to do, and all of its manifest but when that was written."""

    params: Mapping[str, Any]
    manifest: Mapping[str, Any]


class Outputs:
    """The values of finished steps. Those that a later step names are kept privately until the run completes."""

    def __init__(
        self,
        instance: JobInstance,
        identity: RunIdentity,
        private: PrivateValues,
        *,
        attempt_of: Callable[[str], int],
        named: frozenset[str],
        keeps_all: bool = False,
    ) -> None:
        """Kept are those that are `named`; with `keeps_all` the others too, for the parent of a child run."""
        self._needed = _with_values(instance) if keeps_all else named
        self._identity = identity
        self._private = private
        self._attempt_of = attempt_of
        self._values: dict[str, JSONObject] = {}

    def keep(self, step_id: str, output: JSONObject) -> str | None:
        """Returns where the output is kept, when it is."""
        if step_id not in self._needed:
            return None
        self._values[step_id] = output
        name = self._identity.value_name(f"{step_id}.output")
        self._private.put(self._identity.run_id, name, output)
        return f"private:{name}"

    def of(self, step_id: str) -> JSONObject:
        if step_id not in self._values:
            name = value_name(f"{step_id}.output", self._attempt_of(step_id))
            value = self._private.get(self._identity.run_id, name)
            assert isinstance(value, Mapping)
            self._values[step_id] = value
        return self._values[step_id]

    def of_all(self, step_ids: Iterable[str]) -> dict[str, JSONObject]:
        """Of those among the steps that have values, also from earlier attempts."""
        return {step_id: self.of(step_id) for step_id in step_ids if step_id in self._needed}


def _with_values(instance: JobInstance) -> frozenset[str]:
    return frozenset(step.step_id for step in instance.steps if SHAPES[step.op].values)


class Preparation:
    def __init__(
        self,
        instance: JobInstance,
        identity: RunIdentity,
        *,
        outcomes: Outcomes,
        outputs: Outputs,
        digester: Digester,
        clock: Clock,
    ) -> None:
        self._steps = {step.step_id: step for step in instance.steps}
        self._identity = identity
        self._outcomes = outcomes
        self._outputs = outputs
        self._key = f"{identity.namespace}/{identity.run_id}"
        self._digester = digester
        self._clock = clock
        # What no outcome changes is made in one go: between two commits, everything takes three times as long.
        self._settled = {
            step.step_id: self._ask(step, references.resolve(step.nodes, _never))
            for step in instance.steps
            if not (step.run_refs or step.compiled_skip or outcomes.is_completed(step.step_id))
        }

    def prepare(self, segment: Segment) -> Prepared:
        params: dict[str, Mapping[str, Any]] = {}
        manifests = []
        now = self._clock.now()
        for step_id in segment.steps:
            asked = self._settled.get(step_id)
            if asked is None:
                try:
                    resolved = self._resolve(segment, step_id)
                except PermanentError as error:
                    return Prepared(segment=segment, params={}, manifests=(), failure=(step_id, error))
                asked = self._ask(self._steps[step_id], resolved)
            params[step_id] = asked.params
            manifests.append(StepManifest.trusted({**asked.manifest, "written_at": now}))
        return Prepared(segment=segment, params=params, manifests=tuple(manifests))

    def _resolve(self, segment: Segment, step_id: str) -> object:
        for source in segment.inputs[step_id].values():
            if not source.joined:
                self._require_completed(step_id, source.producer)
        look_up = partial(self._look_up, step_id)
        return references.resolve(self._steps[step_id].nodes, look_up)

    def _look_up(self, step_id: str, ref: RunRef) -> object:
        if ref.path[0] == SHAPES[self._steps[ref.step].op].stream:
            # The stream itself takes this place when the step starts.
            return str(ref)
        self._require_completed(step_id, ref.step)
        return references.walk(self._outputs.of(ref.step), ref)

    def _require_completed(self, step_id: str, producer: str) -> None:
        if not self._outcomes.is_completed(producer):
            raise UpstreamFailed(step=step_id, failed=producer)

    def _ask(self, step: JobStepInstance, resolved: object) -> _Asked:
        params: Mapping[str, Any] = resolved  # type: ignore[assignment]  # the template is a mapping
        op, callable_name = step.op, step.params.get("callable")
        manifest = {
            "run_id": self._identity.run_id,
            "step_id": step.step_id,
            "backend": op.backend,
            "op": op,
            "resolved_params": step.template,
            "prompt_hash": prompt_hash(params, self._digester) if op is Op.COMPUTE_LLM else None,
            "idempotency_key": self._idempotency_key(step),
            "attempt_n": self._identity.attempt_n,
            "inputs_digest": self._digester.value(params),
            "code_sha256": self._identity.code.get(callable_name) if callable_name else None,
        }
        return _Asked(params, manifest)

    def _idempotency_key(self, step: JobStepInstance) -> str:
        if step.idempotency.scope is IdempotencyScope.RUN:
            return f"{self._key}/{step.step_id}"
        return self._digester.value([self._identity.namespace, step.idempotency.scope, step.semantic_key])


def _never(ref: RunRef) -> object:
    raise AssertionError(f"a step without references to runs has one to step '{ref.step}'")
