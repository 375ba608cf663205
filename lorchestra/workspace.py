"""A project folder under a profile, and what belongs to it: definitions, callables, run store, clients, handlers.

This is where the parts are put together; nothing below it knows of settings or of the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorchestra import built_in_content
from lorchestra import settings as project_settings
from lorchestra.callable import CallableRegistry, project_registry
from lorchestra.clock import SystemClock, new_run_id
from lorchestra.compiler import compile_job, leave_out
from lorchestra.connections.known import Connections
from lorchestra.definitions.definition_files import PIPELINES
from lorchestra.errors import ChangedSince, CompileError, ConfigurationError, DefinitionError, Problem
from lorchestra.executor import FINISHED, Executor
from lorchestra.handlers.compute import ComputeHandler
from lorchestra.handlers.orchestration import OrchestrationHandler
from lorchestra.handlers.registry import HandlerRegistry
from lorchestra.pipelines.catalog import Catalog
from lorchestra.pipelines.files import Given as GivenPipeline
from lorchestra.pipelines.registry import PipelineRegistry
from lorchestra.registry import JobRegistry
from lorchestra.reporting.observer import Observer
from lorchestra.result import ExecutionResult
from lorchestra.run_store import InMemoryRunStore, SqliteRunStore
from lorchestra.run_store.protocol import RunFilter, RunStore
from lorchestra.run_store.run_state import check_resumable
from lorchestra.schemas import Backend, Envelope, JobInstance, JobStepInstance, Op, RunRecord, StepDef
from lorchestra.schemas.envelope import namespace_of
from lorchestra.schemas.pipeline import is_pipeline
from lorchestra.settings import Settings
from lorchestra.settings.connections import makers
from lorchestra.settings.model import RunStoreKind, StoracleKind
from lorchestra.storacle import RpcClient, RpcMeta, StoracleClient
from lorchestra.storacle.transports import InProcessTransport, Service
from lorchestra.supervision.cancellation import Cancellation

if TYPE_CHECKING:
    from lorchestra.built_in_content import BuiltInContent
    from lorchestra.settings.secret_ref import SecretRef
    from lorchestra.storacle.backends.base import Backend as DataBackend
    from lorchestra.storacle.backends.sqlite import SqliteBackend
    from lorchestra.storacle.checkup import Checkup
    from lorchestra.storacle.ledger import Written
    from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess
    from lorchestra.storacle.quarantine import Quarantine, Quarantined, Replayed
    from lorchestra.storacle.transports.http import HttpTransport


SERVICES = ("registry", "store", "handlers")
"""The live objects that a caller may hand over in place of the project's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Live objects that a caller passes in place of the workspace's own. They stay the caller's to close."""

    registry: JobRegistry | None = None
    store: RunStore | None = None
    handlers: HandlerRegistry | None = None
    pipeline: GivenPipeline | None = None


class Workspace:
    """Each part is made when it is first asked for."""

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        definitions_dir: Path | None = None,
        given: Given | None = None,
        observer: Observer | None = None,
        cancellation: Cancellation | None = None,
        keep_values: bool = False,
    ) -> None:
        self.settings = settings
        self._environ = environ
        self._definitions_dir = definitions_dir or settings.definitions_path
        self._is_folder_named = definitions_dir is not None
        self._given = given or Given()
        self._observer = observer
        self._cancellation = cancellation
        self._keep_values = keep_values
        self._data: DataBackend | None = None

    @classmethod
    def open(
        cls,
        *,
        start: Path | None = None,
        settings_file: Path | None = None,
        profile: str | None = None,
        environ: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Workspace:
        """The project that the folder `start` (the working directory) lies in."""
        environ = dict(os.environ) if environ is None else environ
        settings = project_settings.load(
            start=start or Path.cwd(), file=settings_file, profile=profile, environ=environ
        )
        return cls(settings, environ=environ, **options)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._given.store is None and "store" in self.__dict__:
            self.store.close()
        if "remote" in self.__dict__:
            self.remote.close()
        if self._data is not None:
            self._data.close()

    @cached_property
    def built_in(self) -> BuiltInContent | None:
        """The content that comes with lorchestra; None where this project is its source."""
        content = built_in_content.find()
        return None if content is None or content.root.resolve() == self.settings.content_path.resolve() else content

    @cached_property
    def registry(self) -> JobRegistry:
        if self._given.registry is not None:
            return self._given.registry
        behind = built_in_content.definitions_behind(self._definitions_dir, is_named=self._is_folder_named)
        return JobRegistry(self._definitions_dir, built_in=behind)

    @cached_property
    def pipelines(self) -> PipelineRegistry:
        built_in = self.built_in
        return PipelineRegistry(
            self.registry,
            self.settings.pipelines_path,
            self._definitions_dir / PIPELINES,
            built_in=() if built_in is None else (built_in.pipelines_path, built_in.definitions_path / PIPELINES),
            given=self._given.pipeline,
        )

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.registry, self.pipelines)

    @cached_property
    def callables(self) -> CallableRegistry:
        return project_registry(self.settings.callables_path)

    @cached_property
    def store(self) -> RunStore:
        if self._given.store is not None:
            return self._given.store
        chosen = self.settings.run_store
        if chosen.kind is RunStoreKind.MEMORY:
            return InMemoryRunStore()
        return SqliteRunStore(chosen.path, heartbeat_s=chosen.heartbeat_s, stale_after_s=chosen.stale_after_s)

    @property
    def history(self) -> RunStore:
        """The store, for looking only: where nothing was ever recorded it is an empty one, and none is made."""
        chosen = self.settings.run_store
        is_made = self._given.store is not None or chosen.kind is RunStoreKind.MEMORY or os.path.lexists(chosen.path)
        return self.store if is_made else InMemoryRunStore()

    @cached_property
    def service(self) -> Service:
        """The storacle of this process."""
        chosen = self.settings.storacle
        if chosen.kind is StoracleKind.HTTP:
            raise ConfigurationError(
                "storacle.kind is http, so the service is another process's; serve it with a profile whose "
                "storacle.kind keeps data itself"
            )
        # Imported here because a command that runs nothing needs no data.
        from lorchestra.storacle.data_service import DataService
        from lorchestra.storacle.outward.methods import outward_methods
        from lorchestra.storacle.outward.roots import Roots

        outward = outward_methods(Roots(chosen.roots), SystemClock(), self._sheets_access())
        self._data = self._bigquery() if chosen.kind is StoracleKind.BIGQUERY else self._sqlite()
        return DataService(self._data, outward)

    def _sqlite(self) -> SqliteBackend:
        from lorchestra.storacle.backends.sqlite import SqliteBackend

        chosen = self.settings.storacle
        path = chosen.path if chosen.kind is StoracleKind.SQLITE else None
        return SqliteBackend(path, ledger_kept=chosen.ledger_keep)

    def _bigquery(self) -> DataBackend:
        # Imported here because Google's library takes longer to import than all of lorchestra, and may be missing.
        try:
            from lorchestra.storacle.backends.bigquery import BigQueryBackend
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "storacle.kind is bigquery, and google-cloud-bigquery is not installed; install lorchestra with the "
                "extra `bigquery`"
            ) from error
        return BigQueryBackend(self.settings.storacle.bigquery_config(self._environ))

    def _sheets_access(self) -> SheetsAccess | None:
        chosen = self.settings.storacle.sheets
        if chosen is None:
            return None
        # Imported here because few projects write to spreadsheets.
        from lorchestra.storacle.outward.sheets_http.credentials import SheetsTokens
        from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess

        key = None if chosen.credentials == "default" else partial(chosen.credentials.reveal, self._environ)
        return SheetsAccess(token=SheetsTokens(key), base_url=chosen.base_url)

    @cached_property
    def remote(self) -> HttpTransport:
        """The way to a storacle elsewhere."""
        return self._new_remote()

    def _new_remote(self) -> HttpTransport:
        # Imported here because httpx takes longer to import than `lorchestra --help` may take in all.
        from lorchestra.storacle.transports.http import HttpTransport

        chosen = self.settings.storacle
        if chosen.url is None:
            raise ConfigurationError("storacle.kind is http, and storacle.url does not say where")
        return HttpTransport(chosen.url, token=partial(chosen.token.reveal, self._environ) if chosen.token else None)

    @cached_property
    def client(self) -> StoracleClient:
        is_elsewhere = self.settings.storacle.kind is StoracleKind.HTTP
        return RpcClient(self.remote if is_elsewhere else InProcessTransport(self.service))

    def read(self, read: Mapping[str, Any], *, smoke_namespace: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The rows of a declarative read, for whoever looks at the data from outside of a run."""
        return self.client.query(read, _operator(namespace_of(smoke_namespace)))

    def who_wrote(self, key: str, *, smoke_namespace: str | None = None) -> tuple[Written, ...]:
        """What the ledger says of the op with this key, and of the rows with this idem_key."""
        from lorchestra.storacle import ledger

        return tuple(ledger.find(self.client, _operator(namespace_of(smoke_namespace)), key))

    def quarantine(self, smoke_namespace: str | None = None) -> Quarantine:
        # Imported here because only this needs it.
        from lorchestra.storacle.quarantine import Quarantine

        return Quarantine(self.client, _operator(namespace_of(smoke_namespace)))

    def replay(self, quarantine: Quarantine, records: Iterable[Quarantined]) -> Replayed:
        """Have records of the quarantine taken up once more, as a run of its own."""
        now = SystemClock().now()
        return quarantine.replay(records, run_id=new_run_id(now), at=now)

    def checkup(self) -> Checkup:
        """A look at the storacle of the settings, in a smoke namespace of its own."""
        # Imported here because only this needs it.
        from lorchestra.storacle.checkup import Checkup

        namespace = namespace_of(f"check{os.urandom(5).hex()}")
        return Checkup(
            self._new_client,
            namespace=namespace,
            run_id=new_run_id(SystemClock().now()),
            look_at_file=self._look_at_file if self.settings.storacle.kind is StoracleKind.SQLITE else None,
        )

    def _look_at_file(self) -> str:
        with closing(self._sqlite()) as backend:
            backend.require_intact()
        return "the data file is intact"

    @contextmanager
    def _new_client(self) -> Iterator[StoracleClient]:
        """A client that shares with others only what other processes would share, too."""
        chosen = self.settings.storacle
        if chosen.kind is StoracleKind.MEMORY:
            yield self.client
            return
        if chosen.kind is StoracleKind.HTTP:
            with closing(self._new_remote()) as remote:
                yield RpcClient(remote)
            return
        from lorchestra.storacle.data_service import DataService

        with closing(self._bigquery() if chosen.kind is StoracleKind.BIGQUERY else self._sqlite()) as backend:
            yield RpcClient(InProcessTransport(DataService(backend)))

    def serve(self, *, host: str, port: int, token: SecretRef | None, ready: Callable[[str], None]) -> None:
        """Offer the storacle of this process to others, until a signal says to stop. `token` is the settings' own
        when none is given.
        """
        # Imported here because only this needs a server.
        from lorchestra.storacle import http_server

        chosen = token or self.settings.storacle.token
        secret = chosen.reveal(self._environ) if chosen else None
        http_server.serve(self.service, host=host, port=port, token=secret, ready=ready)

    @cached_property
    def handlers(self) -> HandlerRegistry:
        if self._given.handlers is not None:
            return self._given.handlers
        llm = self.settings.llm
        return HandlerRegistry(
            {
                Backend.INFEROMETER: ComputeHandler(
                    llm.client_config(self._environ) if llm else None, self.store.digester
                ),
                Backend.ORCHESTRATION: OrchestrationHandler(self.catalog),
            }
        )

    @cached_property
    def executor(self) -> Executor:
        return Executor(
            self.store,
            self.handlers,
            client=self.client,
            callables=self.callables,
            root=self.settings.root,
            content=self.settings.content_path,
            built_in_content=self.built_in.root if self.built_in else None,
            connections=Connections(makers(self.settings.connections, self._environ)),
            observer=self._observer,
            keep_values=self._keep_values,
            logs_events=True,
        )

    def compile(self, envelope: Envelope) -> JobInstance:
        definition = leave_out(self.catalog.load(envelope.job_id, envelope.version), envelope.leave_out)
        try:
            return compile_job(definition, envelope.ctx, envelope.payload)
        except CompileError as error:
            source = self.catalog.source_of(envelope.job_id, envelope.version)
            raise CompileError(*(problem.at(source.locate(problem.path)) for problem in error.problems)) from error

    def check_names(self, instance: JobInstance, envelope: Envelope) -> None:
        """Raise CompileError for every callable and job that steps name and that there is not, each with its place.

        Of a pipeline every job that it would run is compiled and checked: it is not to stop half-way for a mistake
        that could be seen before.
        """
        steps = [(number, step) for number, step in enumerate(instance.steps) if not step.compiled_skip]
        problems = tuple(self._unknown_names(envelope.job_id, envelope.version, steps))
        if is_pipeline(envelope.job_id):
            problems = (*problems, *self._problems_of_children(instance, envelope))
        if problems:
            raise CompileError(*problems)

    def _problems_of_children(self, instance: JobInstance, envelope: Envelope) -> Iterator[Problem]:
        for step in instance.steps:
            if step.compiled_skip:
                continue
            child = Envelope(
                job_id=step.params["job_id"],
                ctx=envelope.ctx,
                payload=envelope.payload,
                leave_out=step.params.get("leave_out", ()),
            )
            try:
                self.check_names(self.compile(child), child)
            except DefinitionError as error:
                yield from error.problems

    def problems(self, job_ids: Sequence[str] | None = None) -> tuple[Problem, ...]:
        """Every mistake in the files of these jobs and pipelines, and in the names that their steps give. Without ids:
        of all that the project has, and in its SQL, measures, schemas, transforms and templates too.
        """
        jobs = None if job_ids is None else [job_id for job_id in job_ids if not is_pipeline(job_id)]
        if jobs is None and not self.registry.definitions_dir.is_dir() and self.pipelines.list_pipelines():
            # A project may do with built-in jobs alone.
            jobs = []
        found = list(self.registry.problems(jobs))
        for job_id in self.registry.list_jobs() if jobs is None else jobs:
            try:
                definition = self.registry.load(job_id)
            except DefinitionError:
                # Among the mistakes of the files.
                continue
            found += self._unknown_names(job_id, None, list(enumerate(definition.steps)))
        found += self.pipelines.problems(None if job_ids is None else filter(is_pipeline, job_ids))
        if job_ids is None and self.settings.sql_path.is_dir():
            # Imported here because a parser of SQL takes longer to import than all the rest.
            from lorchestra.storacle.sql.library import SqlLibrary

            built_in = self.built_in.sql_path if self.built_in else None
            found += SqlLibrary(self.settings.sql_path, root=self.settings.root, built_in=built_in).problems()
        if job_ids is None and (self.settings.content_path / "measures").is_dir():
            # Imported here because few projects have measures of their own.
            from lorchestra.callable.finalform.library import MeasureLibrary

            behind = self.built_in.root if self.built_in else None
            found += MeasureLibrary(self.settings.content_path, root=self.settings.root, built_in=behind).problems()
        content = self.settings.content_path
        if job_ids is None and any((content / one).is_dir() for one in ("transforms", "schemas/iglu")):
            # Imported here because the engines for JSONata are slow to import.
            from lorchestra.callable.canonizer.library import TransformLibrary

            behind = self.built_in.root if self.built_in else None
            found += TransformLibrary(content, root=self.settings.root, built_in=behind).problems()
        if job_ids is None and (self.settings.content_path / "templates").is_dir():
            # Imported here because Jinja is slow to import.
            from lorchestra.callable.file_renderer import library as templates

            found += templates.problems(self.settings.content_path, root=self.settings.root)
        return tuple(found)

    def _unknown_names(
        self, job_id: str, version: str | None, steps: Sequence[tuple[int, StepDef | JobStepInstance]]
    ) -> Iterator[Problem]:
        for number, step in steps:
            try:
                if step.op is Op.CALL:
                    self.callables.get(step.params["callable"]).load()
                elif step.op is Op.JOB_RUN:
                    self.catalog.require(step.params["job_id"])
            except DefinitionError as error:
                source = self.catalog.source_of(job_id, version)
                place = source.locate(("steps", number, "params", "callable" if step.op is Op.CALL else "job_id"))
                yield from (problem.at(place) for problem in error.problems)

    def execute(self, envelope: Envelope) -> ExecutionResult:
        self.catalog.look_anew()
        instance = self.compile(envelope)
        # The executor would find this too, but it needs the store, and a mistake in a definition makes no store.
        self.check_names(instance, envelope)
        return self.executor.execute(instance, envelope, cancellation=self._cancellation)

    def resume(self, run_id: str, *, accept_changes: bool = False) -> ExecutionResult:
        """Continue a run from its first segment without an outcome; `run_id` may be cut short."""
        record = self.history.get(self.history.find(run_id))
        if record.parent_run_id is not None:
            raise DefinitionError(
                Problem(
                    found=f"run {record.run_id} is a child of run {record.parent_run_id}",
                    expected="a child is resumed by its parent",
                    hint=f"resume {self._outermost(record).run_id}",
                )
            )
        self.catalog.look_anew()
        # Before the values are read: those of a run that is finished are gone.
        check_resumable(record)
        envelope = self._envelope_of(record)
        instance = self._compile_again(record, envelope, accept_changes=accept_changes)
        return self.executor.resume(
            record.run_id, instance, envelope, accept_changes=accept_changes, cancellation=self._cancellation
        )

    def _outermost(self, record: RunRecord) -> RunRecord:
        while record.parent_run_id is not None:
            record = self.history.get(record.parent_run_id)
        return record

    def _compile_again(self, record: RunRecord, envelope: Envelope, *, accept_changes: bool) -> JobInstance:
        """The job in the version the run had last; when that is gone and changes are accepted, as it is now."""
        if record.basis.job_version in self.catalog.versions(record.job_id):
            return self.compile(envelope.model_copy(update={"version": record.basis.job_version}))
        if not accept_changes:
            raise ChangedSince(run_id=record.run_id, changed=f"the version of '{record.job_id}'")
        return self.compile(envelope.model_copy(update={"version": None}))

    def last_unfinished(self, job_id: str, namespace: str) -> str | None:
        """The id of the job's latest run, when that run can be resumed."""
        runs = self.store.list_runs(RunFilter(job_id=job_id, namespace=namespace, limit=1))
        return runs[0].run_id if runs and runs[0].status not in FINISHED else None

    def retention(self, keep: timedelta | None) -> timedelta:
        """How long runs are kept: as asked, else as the settings say."""
        chosen = keep or self.settings.run_store.keep
        if chosen is None:
            raise ConfigurationError(
                "how long runs are kept is not set; pass --keep 90d, or set `run_store: {keep: 90d}` in lorchestra.yaml"
            )
        return chosen

    def _envelope_of(self, record: RunRecord) -> Envelope:
        values: Any = {}
        if record.envelope.has_values or record.accepted:
            values = self.store.private.get(record.run_id, "envelope")
        return Envelope(
            job_id=record.job_id,
            version=record.envelope.version,
            smoke_namespace=record.envelope.smoke_namespace,
            read_from=record.envelope.read_from,
            leave_out=record.envelope.leave_out,
            **values,
        )


def _operator(namespace: str) -> RpcMeta:
    """Who asks, when no run does."""
    now = SystemClock().now().isoformat()
    return RpcMeta(
        job_id="operator", run_id="operator", step_id="-", correlation_id="operator", ts=now, namespace=namespace
    )
