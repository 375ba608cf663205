"""Runs query jobs: a statement or a script, its limits, its destination, its child jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from tests.standins.bigquery import honoured
from tests.standins.bigquery.errors import JSONObject, Refusal, refuse_other_fields, unsupported
from tests.standins.bigquery.jobs import Job, Jobs
from tests.standins.bigquery.sql import script
from tests.standins.bigquery.sql.engine import Engine, StatementResult
from tests.standins.bigquery.sql.interpreter import Checkpoint, Interpreter
from tests.standins.bigquery.sql.values import parameters
from tests.standins.bigquery.tables import Tables


class QueryJobs:
    def __init__(self, engine: Engine, tables: Tables, jobs: Jobs, pretend_bytes: Callable[[], int]) -> None:
        self._engine = engine
        self._tables = tables
        self._jobs = jobs
        self._pretend_bytes = pretend_bytes

    def start(self, job: Job) -> None:
        given = job.configuration["query"]
        refuse_other_fields(given, honoured.QUERY, "query jobs")
        if given.get("useLegacySql") is not False:
            raise unsupported("legacy SQL (useLegacySql must be false)")
        if job.configuration.get("dryRun"):
            self._dry_run(job, given)
        else:
            self._jobs.start(job, lambda checkpoint: self._run(job, given, checkpoint))

    def _dry_run(self, job: Job, given: JSONObject) -> None:
        """Nothing is kept of it: a dry run has no job to come back to."""
        nodes = script.parse(given["query"])
        interpreter = self._interpreter(given, lambda _: None)
        try:
            found = interpreter.dry_run(nodes)
        finally:
            interpreter.session.close()
        job.bytes_processed = self._pretend_bytes()
        job.statement_type = "SCRIPT" if found is None else found.kind
        job.fields = () if found is None else found.fields
        job.done.set()

    def _run(self, job: Job, given: JSONObject, checkpoint: Checkpoint) -> None:
        job.bytes_processed = self._pretend_bytes()
        limit = given.get("maximumBytesBilled")
        if limit is not None and job.bytes_processed > int(limit):
            needed = f"{job.bytes_processed} or higher required."
            raise Refusal("bytesBilledLimitExceeded", f"Query exceeded limit for bytes billed: {limit}. {needed}")
        nodes = script.parse(given["query"])
        is_single = len(nodes) == 1 and isinstance(nodes[0], script.Sql)
        job.statement_type = None if is_single else "SCRIPT"
        if given.get("destinationTable"):
            nodes = self._into(nodes, given)
        interpreter = self._interpreter(given, checkpoint)
        try:
            interpreter.run(nodes)
        finally:
            interpreter.session.close()
            if not is_single:
                self._add_children(job, interpreter.results)
        self._finish(job, interpreter.results, is_single)

    def _finish(self, job: Job, results: Sequence[StatementResult], is_single: bool) -> None:
        if is_single:
            job.result = results[-1]
            job.statement_type = job.result.kind
        # A script answers with the rows of its last SELECT.
        for result in results:
            if result.kind == "SELECT":
                job.fields, job.rows = result.fields, result.rows

    def _interpreter(self, given: JSONObject, checkpoint: Checkpoint) -> Interpreter:
        found = parameters(given.get("queryParameters") or (), given.get("parameterMode"))
        return Interpreter(
            session=self._engine.session(),
            project=self._engine.project,
            default_dataset=(given.get("defaultDataset") or {}).get("datasetId"),
            parameters=found,
            checkpoint=checkpoint,
        )

    def _into(self, nodes: Sequence[script.Node], given: JSONObject) -> tuple[script.Node, ...]:
        """The same query, its rows going to the destination table."""
        match nodes:
            case [script.Sql(text)]:
                pass
            case _:
                raise Refusal("invalidQuery", "configuration.query.destinationTable cannot be set for scripts")
        reference = given["destinationTable"]
        dataset, name = reference["datasetId"], reference["tableId"]
        path = f"`{dataset}`.`{name}`"
        exists = self._tables.kind_of(dataset, name) is not None
        disposition = given.get("writeDisposition") or "WRITE_EMPTY"
        if not exists and given.get("createDisposition") == "CREATE_NEVER":
            raise Refusal("notFound", f"Not found: Table {self._engine.project}:{dataset}.{name}")
        if exists and disposition == "WRITE_EMPTY" and self._tables.rows(dataset, name):
            raise Refusal("duplicate", f"Already Exists: Table {self._engine.project}:{dataset}.{name}")
        if disposition not in {"WRITE_EMPTY", "WRITE_APPEND", "WRITE_TRUNCATE"}:
            raise unsupported(disposition)
        replaces = disposition == "WRITE_TRUNCATE" or not exists
        verb = f"CREATE OR REPLACE TABLE {path} AS" if replaces else f"INSERT INTO {path}"
        return script.Sql(f"{verb} {text}"), script.Sql(f"SELECT * FROM {path}")

    def _add_children(self, job: Job, results: Sequence[StatementResult]) -> None:
        for place, result in enumerate(results):
            digest = hashlib.sha256(f"{job.id} {place}".encode()).hexdigest()[:32]
            child = Job(
                id=f"script_job_{digest}_{place}",
                project=job.project,
                location=job.location,
                configuration={"query": {"query": result.text, "useLegacySql": False}, "labels": job.labels},
                parent=job.id,
                statement_type=result.kind,
                fields=result.fields,
                rows=result.rows,
                result=result,
            )
            child.ended = child.created
            child.done.set()
            self._jobs.add(child)
        job.children = len(results)
