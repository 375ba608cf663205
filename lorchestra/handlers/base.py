"""What a handler of `compute.*` or `job.*` promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from lorchestra.callable.context import CancelToken
from lorchestra.json_value import JSONObject
from lorchestra.result import ExecutionResult
from lorchestra.schemas import Envelope, JobInstance, JobStepInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRun:
    result: ExecutionResult
    outputs: Mapping[str, JSONObject]
    """The outputs of the child's steps: private."""


RunChild: TypeAlias = Callable[[JobInstance, Envelope], ChildRun]
"""Runs a job as the child of the step that asks, or takes up the child that an earlier try of the step started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """One step, ready to be carried out: every reference resolved."""

    run_id: str
    smoke_namespace: str | None
    step: JobStepInstance
    params: JSONObject
    token: CancelToken
    run_child: RunChild
    lineage: tuple[str, ...] = ()
    """The ids of the jobs this run stands under, outermost first, its own last."""
    read_from: Literal["prod"] | None = None


# Not frozen: one is made for each step, and freezing takes longer than making it.
@dataclass(slots=True, kw_only=True)
class StepAnswer:
    """`output` is private and what `@run` references see; `counts` and `detail` are recorded, and hold no values."""

    output: JSONObject
    counts: Mapping[str, int] = field(default_factory=dict)
    digest: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    """Done, but something was set aside on the way: the run ends partial."""


class Handler(Protocol):
    def check(self, step: JobStepInstance, lineage: tuple[str, ...] = ()) -> None:
        """Runs before anything does: raise ConfigurationError or DefinitionError for what can never be carried out.

        `lineage` is that of StepRequest.
        """

    def execute(self, request: StepRequest) -> StepAnswer:
        """Carry the step out. Failures are exceptions: TransientError is worth another try."""
