"""What every op is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from lorchestra.callable import CallableRegistry
from lorchestra.callable.context import CancelToken
from lorchestra.clock import Clock
from lorchestra.connections.known import Connections
from lorchestra.digest import Digester
from lorchestra.errors import ConfigurationError
from lorchestra.handlers.base import ChildRun, StepAnswer
from lorchestra.handlers.registry import HandlerRegistry
from lorchestra.ops.claim import RunClaim
from lorchestra.resources import ResourceFolder
from lorchestra.run_identity import RunIdentity
from lorchestra.schemas import Envelope, JobInstance, JobStepInstance
from lorchestra.storacle.protocol import StoracleClient
from lorchestra.supervision.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The live objects a run works with. They are passed beside the envelope and never recorded."""

    callables: CallableRegistry
    handlers: HandlerRegistry
    client: StoracleClient | None
    resources: ResourceFolder
    connections: Connections
    clock: Clock
    digester: Digester

    def storacle(self) -> StoracleClient:
        if self.client is None:
            raise ConfigurationError(
                "this job reads or writes data, and no storacle is configured; "
                "add a `storacle:` section to lorchestra.yaml or pass a client to the executor"
            )
        return self.client


RunChildOf: TypeAlias = Callable[[str, CancelToken, JobInstance, Envelope], ChildRun]
"""Runs the child of a step: the step's id, its token, which hears of the child's progress, the job and its envelope."""


# Not frozen: one is made for each step, and freezing takes longer than making it.
@dataclass(slots=True, kw_only=True)
class StepContext:
    """One step of one try of a segment; `params` are resolved, with iterators where the step takes a stream."""

    identity: RunIdentity
    step: JobStepInstance
    params: Mapping[str, Any]
    scope: Scope
    claim: RunClaim
    services: Services
    run_child: RunChildOf


class Flow(Protocol):
    """A step whose output is a stream: items, or the ops of a plan in groups that are sent together."""

    def stream(self) -> Generator[Any, None, None]:
        """Asked for once. The step does its work as it is pulled from."""

    def finish(self) -> StepAnswer:
        """The step's values and counts, once its stream is drained."""
