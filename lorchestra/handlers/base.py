"""What a handler of `compute.*` or `job.*` promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lorchestra.callable.context import CancelToken
from lorchestra.json_value import JSONObject
from lorchestra.schemas import JobStepInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """One step, ready to be carried out: every reference resolved."""

    run_id: str
    namespace: str
    step: JobStepInstance
    params: JSONObject
    token: CancelToken
    lineage: tuple[str, ...] = ()
    """The ids of the jobs this run stands under, outermost first, its own last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAnswer:
    """`output` is private and what `@run` references see; `counts` and `detail` are recorded, and hold no values."""

    output: JSONObject
    counts: Mapping[str, int] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    """Done, but something was set aside on the way: the run ends partial."""


class Handler(Protocol):
    def check(self, step: JobStepInstance) -> None:
        """Runs before anything does: raise ConfigurationError or DefinitionError for what can never be carried out."""

    def execute(self, request: StepRequest) -> StepAnswer:
        """Carry the step out. Failures are exceptions: TransientError is worth another try."""
