"""What each method of the API does; the names are those of the discovery document."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.standins.bigquery import honoured
from tests.standins.bigquery.datasets import Datasets
from tests.standins.bigquery.errors import JSONObject, Refusal, refuse_other_fields, unsupported
from tests.standins.bigquery.jobs import Job, Jobs
from tests.standins.bigquery.load_jobs import LoadJobs
from tests.standins.bigquery.query_jobs import QueryJobs
from tests.standins.bigquery.sql.values import TimestampFormat, wire_rows
from tests.standins.bigquery.tables import Tables

_T = TypeVar("_T")

# How long jobs.get waits for a job that is all but done, so that clients need not sleep between polls.
_PATIENCE_S = 0.2
_DEFAULT_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: JSONObject
    data: bytes | None = None
    if_match: str | None = None


@dataclass(slots=True, kw_only=True)
class Routes:
    project: str
    datasets: Datasets
    tables: Tables
    jobs: Jobs
    queries: QueryJobs
    loads: LoadJobs
    rows_per_page: Callable[[], int]

    def call(self, method: str, call: Call) -> JSONObject | None:
        if call.path.get("projectId", self.project) != self.project:
            raise Refusal("accessDenied", f"Access Denied: Project {call.path['projectId']}")
        match method:
            case "datasets.list":
                items, token = self._page(self.datasets.listed(), call, "datasets.list")
                return {"kind": "bigquery#datasetList", "datasets": items, **_token("nextPageToken", token)}
            case "datasets.insert":
                return self.datasets.insert(call.body)
            case "datasets.get":
                return self.datasets.get(call.path["datasetId"])
            case "datasets.patch":
                return self.datasets.patch(call.path["datasetId"], call.body)
            case "datasets.delete":
                contents = call.query.get("deleteContents", "false").lower() == "true"
                self.datasets.delete(call.path["datasetId"], contents=contents)
                return None
            case _ if method.startswith(("tables.", "tabledata.")):
                return self._table(method, call)
            case _ if method.startswith("jobs."):
                return self._job(method, call)
            case _:
                raise unsupported(method)

    def _table(self, method: str, call: Call) -> JSONObject | None:
        dataset, name = call.path["datasetId"], call.path.get("tableId", "")
        match method:
            case "tables.list":
                tables = self.tables.listed(dataset)
                items, token = self._page(tables, call, f"tables.list {dataset}")
                listed = {"kind": "bigquery#tableList", "tables": items, "totalItems": len(tables)}
                return listed | _token("nextPageToken", token)
            case "tables.insert":
                return self.tables.insert(dataset, call.body)
            case "tables.get":
                return self.tables.get(dataset, name)
            case "tables.patch":
                return self.tables.patch(dataset, name, call.body, if_match=call.if_match)
            case "tables.delete":
                self.tables.delete(dataset, name)
                return None
            case "tabledata.list":
                return self._table_rows(dataset, name, call)
            case _:
                raise unsupported(method)

    def _table_rows(self, dataset: str, name: str, call: Call) -> JSONObject:
        rows = self.tables.rows(dataset, name)
        fields = self.tables.fields(dataset, name)
        selected = call.query.get("selectedFields")
        if selected is not None:
            places = [place for place, field in enumerate(fields) if field["name"] in selected.split(",")]
            fields = [fields[place] for place in places]
            rows = [tuple(row[place] for place in places) for row in rows]
        page, token = self._page(rows, call, f"{dataset}.{name}")
        wire = wire_rows(fields, page, _timestamps(call.query, "formatOptions."))
        listed = {"kind": "bigquery#tableDataList", "totalRows": str(len(rows)), "rows": wire}
        return listed | _token("pageToken", token)

    def _job(self, method: str, call: Call) -> JSONObject:
        match method:
            case "jobs.insert":
                job = self._insert_job(call)
                return job.resource(is_done=bool(job.configuration.get("dryRun")))
            case "jobs.query":
                return self._query(call)
            case "jobs.list":
                jobs = [job for job in self.jobs.all() if job.parent == call.query.get("parentJobId")]
                items, token = self._page(jobs, call, "jobs.list")
                listed = [_list_item(job) for job in items]
                return {"kind": "bigquery#jobList", "jobs": listed, **_token("nextPageToken", token)}
            case "jobs.get":
                job = self._found(call)
                return job.resource(is_done=job.seen_done(_PATIENCE_S))
            case "jobs.getQueryResults":
                return self._results(call)
            case "jobs.cancel":
                job = self._found(call)
                job.cancelled = True
                return {"kind": "bigquery#jobCancelResponse", "job": job.resource(is_done=job.done.is_set())}
            case _:
                raise unsupported(method)

    def _found(self, call: Call) -> Job:
        job = self.jobs.get(call.path["jobId"])
        if call.query.get("location", job.location).upper() != job.location.upper():
            raise Refusal("notFound", f"Not found: Job {job.id} in location {call.query['location']}")
        return job

    def _insert_job(self, call: Call) -> Job:
        configuration = call.body["configuration"]
        refuse_other_fields(configuration, honoured.CONFIGURATION, "job configuration")
        reference = call.body.get("jobReference") or {}
        job = self._new_job(reference.get("jobId"), reference.get("location"), configuration)
        if "query" in configuration:
            self.queries.start(job)
        elif "load" in configuration:
            self.loads.start(job, call.data)
        else:
            raise Refusal("invalid", "Job configuration must contain exactly one job-specific configuration object")
        return job

    def _new_job(self, job_id: str | None, location: str | None, configuration: JSONObject) -> Job:
        return Job(
            id=job_id or f"job_{uuid.uuid4().hex}",
            project=self.project,
            location=location or "US",
            configuration=_as_kept(configuration),
        )

    def _query(self, call: Call) -> JSONObject:
        body = call.body
        refuse_other_fields(body, honoured.JOBS_QUERY, "jobs.query")
        settings = {name: body[name] for name in honoured.QUERY if body.get(name) is not None}
        configuration: JSONObject = {"query": settings}
        configuration |= {name: body[name] for name in ("labels", "dryRun", "jobTimeoutMs") if body.get(name)}
        request = body.get("requestId")
        job = self._new_job(f"job_{request}" if request else None, body.get("location"), configuration)
        try:
            self.queries.start(job)
        except Refusal as error:
            # A request id that was seen before means the same request: it gets the same job.
            if error.reason != "duplicate" or request is None:
                raise
            job = self.jobs.get(job.id)
        timestamps = _timestamps(body.get("formatOptions") or {}, "")
        is_done = job.seen_done(int(body.get("timeoutMs") or _DEFAULT_TIMEOUT_MS) / 1000)
        found = self._answer(job, "bigquery#queryResponse", is_done, timestamps, call, body.get("maxResults"))
        if is_done and job.statement_type is not None:
            found["statementType"] = job.statement_type
        if job.configuration.get("dryRun"):
            del found["jobReference"]
        return found | {"queryId": job.id, "location": job.location, "creationTime": job.created}

    def _results(self, call: Call) -> JSONObject:
        job = self._found(call)
        if "query" not in job.configuration:
            raise Refusal("invalid", f"Job {job.id} is not a query job")
        is_done = job.seen_done(int(call.query.get("timeoutMs", _DEFAULT_TIMEOUT_MS)) / 1000)
        timestamps = _timestamps(call.query, "formatOptions.")
        found = self._answer(job, "bigquery#getQueryResultsResponse", is_done, timestamps, call, None)
        found.pop("dmlStats", None)
        return found

    def _answer(
        self, job: Job, kind: str, is_done: bool, timestamps: TimestampFormat, call: Call, limit: int | None
    ) -> JSONObject:
        found: JSONObject = {"kind": kind, "jobReference": job.reference(), "jobComplete": is_done}
        if not is_done:
            return found
        if job.error is not None:
            raise job.error
        found |= {"totalBytesProcessed": str(job.bytes_processed), "cacheHit": False, **job.dml()}
        if job.fields:
            page, token = self._page(job.rows, call, job.id, limit=limit)
            found["schema"] = {"fields": list(job.fields)}
            found["totalRows"] = str(len(job.rows))
            if page:
                # Without rows there is no field, by which the client tells an answer to maxResults=0 from a page.
                found["rows"] = wire_rows(job.fields, page, timestamps)
            found |= _token("pageToken", token)
        return found

    def _page(
        self, items: Sequence[_T], call: Call, what: str, *, limit: int | None = None
    ) -> tuple[Sequence[_T], str | None]:
        filters = sorted(call.query.keys() & {"filter", "stateFilter", "minCreationTime", "maxCreationTime"})
        if filters:
            raise unsupported(f"lists with {', '.join(filters)}")
        start = int(call.query.get("startIndex", 0))
        token = call.query.get("pageToken")
        if token is not None:
            of, _, place = token.rpartition("@")
            if of != what or not place.isdigit():
                raise Refusal("invalid", "Invalid page token")
            start = int(place)
        wanted = limit if limit is not None else int(call.query.get("maxResults", self.rows_per_page()))
        end = start + min(int(wanted), self.rows_per_page())
        return items[start:end], f"{what}@{end}" if end < len(items) and end > start else None


def _as_kept(given: Any) -> Any:
    """A configuration as later answers repeat it: a null says nothing, the value of a parameter is text."""
    match given:
        case dict():
            return {name: _as_kept(value) for name, value in given.items() if value is not None}
        case list():
            return [_as_kept(value) for value in given]
        case float():
            return repr(given)
        case _:
            return given


def _token(name: str, token: str | None) -> JSONObject:
    return {} if token is None else {name: token}


def _timestamps(given: Mapping[str, object], prefix: str) -> TimestampFormat:
    chosen = given.get(f"{prefix}timestampOutputFormat")
    if chosen == "ISO8601_STRING":
        return "iso"
    is_int64 = str(given.get(f"{prefix}useInt64Timestamp", "false")).lower() == "true"
    return "int64" if is_int64 or chosen == "INT64" else "float"


def _list_item(job: Job) -> JSONObject:
    """A job as lists show it: its state beside its status."""
    resource = job.resource(is_done=job.done.is_set())
    resource["state"] = resource["status"]["state"]
    if "errorResult" in resource["status"]:
        resource["errorResult"] = resource["status"]["errorResult"]
    return resource
