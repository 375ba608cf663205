"""Jobs for tests, and a lab to run them in: a run store, a storacle, callables, and whoever watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lorchestra.callable import CallableRegistry
from lorchestra.compiler import compile_job
from lorchestra.executor import Executor
from lorchestra.handlers import HandlerRegistry
from lorchestra.handlers.orchestration import OrchestrationHandler
from lorchestra.registry import JobRegistry
from lorchestra.reporting.observer import RecordingObserver
from lorchestra.result import ExecutionResult
from lorchestra.run_store import InMemoryRunStore, RunFilter, RunStore
from lorchestra.schemas import (
    Backend,
    ErrorRecord,
    JobDef,
    JobInstance,
    RunRecord,
    StepManifest,
    StepOutcome,
)
from lorchestra.storacle import RpcClient
from lorchestra.storacle.codec import Message
from lorchestra.storacle.transports import InProcessTransport, Transport
from tests.data_plane import DataPlane

Step = dict[str, Any]

DEADLINE_S = 20.0
"""When a condition that has to come true counts as never coming true."""
TICK_S = 0.05


def call(
    step_id: str,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    when: str | bool = True,
    **fields: Any,
) -> Step:
    """A step that calls the callable of its own name, or of another."""
    params = {"callable": name or step_id, **(params or {})}
    return {"step_id": step_id, "op": "call", "params": params, "if": when, **fields}


def build(step_id: str, items: str, *, params: Mapping[str, Any] | None = None, **fields: Any) -> Step:
    """A plan of upserts into the table `clinic.visits`, an op for every two rows."""
    table = {"method": "table.upsert", "dataset": "clinic", "table": "visits", "key_columns": ["idem_key"]}
    params = {"items": f"@run.{items}.items", **table, "batch_size": 2, **(params or {})}
    return {"step_id": step_id, "op": "plan.build", "params": params, **fields}


def submit(step_id: str, plan: str, **fields: Any) -> Step:
    return {"step_id": step_id, "op": "storacle.submit", "params": {"plan": f"@run.{plan}.plan"}, **fields}


def write(items: str, **fields: Any) -> tuple[Step, Step]:
    """The two steps that write the items of an earlier one: `<items>_plan` and `<items>_write`."""
    return build(f"{items}_plan", items), submit(f"{items}_write", f"{items}_plan", **fields)


def run_job(step_id: str, job_id: str, **fields: Any) -> Step:
    params = {name: fields.pop(name) for name in ("version", "ctx", "payload") if name in fields}
    return {"step_id": step_id, "op": "job.run", "params": {"job_id": job_id, **params}, **fields}


def retry(times: int, *, delay_s: float = 0.0) -> dict[str, Any]:
    return {"max_retries": times, "initial_delay_seconds": delay_s, "jitter": False}


def job(*steps: Step, job_id: str = "tidy", **fields: Any) -> JobDef:
    return JobDef.model_validate({"job_id": job_id, "version": "2.0", "steps": list(steps), **fields})


def visits(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"idem_key": f"visit:{number:03d}", "minutes": 50} for number in range(first, first + count)]


def keeping(given: list[Any], name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A callable that keeps what it is given as one of its params, and yields nothing."""

    def execute(params: Mapping[str, Any]) -> dict[str, Any]:
        given.append(params[name])
        return {"items": []}

    return execute


def keys(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [row["idem_key"] for row in rows]


def wait_until(is_so: Callable[[], bool], *, within_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + within_s
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < end, "it never came true"
        pause.wait(0.005)


def chain(record: ErrorRecord | None) -> list[str]:
    """The types of an error and of its causes."""
    return [] if record is None else [record.type, *chain(record.cause)]


class Gate:
    """Holds up whoever comes to it until it is opened, and tells that somebody came."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()

    def wait(self) -> None:
        self._reached.set()
        assert self._opened.wait(DEADLINE_S)

    def open(self) -> None:
        self._opened.set()

    def wait_until_reached(self) -> None:
        assert self._reached.wait(DEADLINE_S)


class HookedTransport:
    """Calls `before` with each message, ahead of delivering it: to hold it up, to fail, or to look."""

    def __init__(self, inner: Transport, before: Callable[[Message], None]) -> None:
        self._inner = inner
        self._before = before

    def send(self, message: Message) -> object:
        self._before(message)
        return self._inner.send(message)


@dataclass(kw_only=True)
class Lab:
    store: RunStore = field(default_factory=InMemoryRunStore)
    service: DataPlane = field(default_factory=DataPlane)
    callables: CallableRegistry = field(default_factory=lambda: CallableRegistry(entry_points=lambda: (), built_in={}))
    observer: RecordingObserver = field(default_factory=RecordingObserver)
    definitions: Path | None = None
    """Where the jobs are that `job.run` finds."""

    def register(self, **callables: object) -> None:
        for name, target in callables.items():
            self.callables.register(name, target)

    def define(self, *jobs: JobDef, older: bool = False) -> None:
        assert self.definitions is not None
        for one in jobs:
            name = f"{one.job_id}@{one.version}" if older else one.job_id
            (self.definitions / f"{name}.yaml").write_text(yaml.safe_dump(one.canonical()))

    def client(self, before: Callable[[Message], None] | None = None) -> RpcClient:
        transport: Transport = InProcessTransport(self.service)
        return RpcClient(HookedTransport(transport, before) if before else transport)

    def executor(self, **changes: Any) -> Executor:
        handlers = None
        if self.definitions is not None:
            handlers = HandlerRegistry({Backend.ORCHESTRATION: OrchestrationHandler(JobRegistry(self.definitions))})
        options = {
            "client": self.client(),
            "callables": self.callables,
            "observer": self.observer,
            "handlers": handlers,
            "grace_s": TICK_S * 4,
            "random": lambda: 0.5,
        }
        return Executor(self.store, **{**options, **changes})

    def run(
        self,
        definition: JobDef,
        *,
        payload: Mapping[str, Any] | None = None,
        executor: Executor | None = None,
        **options: Any,
    ) -> ExecutionResult:
        instance = compile_job(definition, {}, payload)
        envelope = {"payload": payload or {}, "smoke_namespace": options.pop("smoke_namespace", None)}
        return (executor or self.executor()).execute(instance, envelope, **options)

    def resume(
        self,
        earlier: ExecutionResult | str,
        definition: JobDef,
        *,
        payload: Mapping[str, Any] | None = None,
        executor: Executor | None = None,
        **options: Any,
    ) -> ExecutionResult:
        run_id = earlier if isinstance(earlier, str) else run_id_of(earlier)
        instance = compile_job(definition, {}, payload)
        return (executor or self.executor()).resume(run_id, instance, {"payload": payload or {}}, **options)

    def rows(self, table: str = "visits", *, dataset: str = "clinic", namespace: str = "prod") -> list[str]:
        """The keys of the rows that have landed."""
        return keys(self.service.rows(dataset, table, namespace=namespace))

    def runs(self, **query: Any) -> tuple[RunRecord, ...]:
        return self.store.list_runs(RunFilter(**query))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [fields for event, fields in self.observer.events if event == name]


def instance_of(definition: JobDef, payload: Mapping[str, Any] | None = None) -> JobInstance:
    return compile_job(definition, {}, payload)


def run_id_of(result: ExecutionResult) -> str:
    assert result.run_id is not None
    return result.run_id


def outcomes(result: ExecutionResult) -> dict[str, StepOutcome]:
    assert result.run_record is not None
    return {outcome.step_id: outcome for outcome in result.run_record.step_outcomes}


def statuses(result: ExecutionResult) -> dict[str, str]:
    return {step_id: outcome.status.value for step_id, outcome in outcomes(result).items()}


def manifests(lab: Lab, result: ExecutionResult) -> list[StepManifest]:
    return list(lab.store.manifests(run_id_of(result)))
