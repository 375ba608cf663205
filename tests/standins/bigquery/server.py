"""The HTTP face: reads, checks, applies faults, dispatches, checks again, answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.standins.bigquery import discovery, uploads
from tests.standins.bigquery.datasets import Datasets
from tests.standins.bigquery.errors import JSONObject, Refusal
from tests.standins.bigquery.faults import Faults
from tests.standins.bigquery.jobs import Job, Jobs
from tests.standins.bigquery.load_jobs import LoadJobs
from tests.standins.bigquery.query_jobs import QueryJobs
from tests.standins.bigquery.routes import Call, Routes
from tests.standins.bigquery.sql.engine import Engine
from tests.standins.bigquery.tables import Tables

DEFAULT_PROJECT = "stand-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked; `method` is the name in the discovery document, or empty if there is none."""

    verb: str
    path: str
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: JSONObject | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class BigQueryStandIn:
    """`with BigQueryStandIn() as standin:` serves until the block ends, which fails on a violated answer."""

    def __init__(self, project: str = DEFAULT_PROJECT) -> None:
        self.project = project
        self.faults = Faults()
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.pretend_bytes = 0
        self.rows_per_page = 10_000
        self._engine = Engine(project)
        self._uploads = uploads.Uploads()
        datasets = Datasets(self._engine)
        tables = Tables(self._engine, datasets)
        self._jobs = Jobs(self.faults, self.violations)
        self._routes = Routes(
            project=project,
            datasets=datasets,
            tables=tables,
            jobs=self._jobs,
            queries=QueryJobs(self._engine, tables, self._jobs, lambda: self.pretend_bytes),
            loads=LoadJobs(self._engine, tables, self._jobs),
            rows_per_page=lambda: self.rows_per_page,
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def jobs(self) -> Sequence[Job]:
        """Every job in the order of its creation; those of the statements of a script have a `parent`."""
        return tuple(self._jobs.all())

    def rows(self, duckdb_sql: str) -> list[tuple[Any, ...]]:
        """What is in the tables, asked past the API in DuckDB's SQL (datasets are schemas)."""
        return self._engine.run(duckdb_sql)

    def asked(self, method: str) -> list[Request]:
        """The requests of one method, as `jobs.insert`."""
        return [request for request in self.requests if request.method == method]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.release_all()
        self._jobs.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._engine.close()
        assert not self.violations, self.violations

    def handle(self, request: Request, raw: bytes) -> Answer:
        """Checks, dispatches, checks."""
        try:
            return self._handle(request, raw)
        except Refusal as error:
            return Answer(status=error.code, body=error.body())
        except Exception as error:  # noqa: BLE001 - whatever a mistake of the stand-in is, the test must see it
            self.violations.append(f"{request.verb} {request.path}: {error!r}")
            return Answer(status=500, body=Refusal("internalError", repr(error)).body())

    def _handle(self, request: Request, raw: bytes) -> Answer:
        if request.verb == "PUT" and "upload_id" in request.query:
            return self._receive(request, raw)
        matched = discovery.match(request.verb, request.path)
        if matched is None:
            raise Refusal("notFound", f"no method for {request.verb} {request.path}", code=404)
        method, data = matched.method, None
        kind = request.query.get("uploadType")
        body = request.body
        if method.is_upload and kind == "multipart":
            body, data = uploads.parse_multipart(request.headers, raw)
        mistakes = discovery.request_mistakes(method, request.query, body)
        if mistakes:
            raise Refusal("invalid", "; ".join(mistakes))
        if method.is_upload and kind == "resumable":
            session = self._uploads.open(body)
            return Answer(status=200, headers={"Location": f"{self.url}{request.path}?upload_id={session}"})
        call = Call(
            path=matched.path,
            query=request.query,
            body=body or {},
            data=data,
            if_match=request.headers.get("if-match"),
        )
        return self._checked(method, self._routes.call(method.name, call), request)

    def _checked(self, method: discovery.Method, body: JSONObject | None, request: Request) -> Answer:
        if body is None:
            return Answer(status=204)
        # As a client will read it: a tuple or a number that JSON cannot carry fails here.
        body = json.loads(json.dumps(body, allow_nan=False))
        mistakes = discovery.answer_mistakes(method, body)
        self.violations += [f"{method.name} answered: {mistake}" for mistake in mistakes]
        return Answer(status=200, body=_masked(body, request.query.get("fields")))

    def _receive(self, request: Request, raw: bytes) -> Answer:
        session = request.query["upload_id"]
        upload = self._uploads.get(session)
        if upload.answer is None:
            if not self._uploads.receive(session, request.headers.get("content-range"), raw):
                held = len(upload.received)
                headers = {"Range": f"bytes=0-{held - 1}"} if held else {}
                return Answer(status=308, headers=headers)
            method = next(method for method in discovery.methods() if method.name == "jobs.insert")
            call = Call(path={}, query={}, body=upload.metadata, data=bytes(upload.received))
            upload.answer = self._checked(method, self._routes.call("jobs.insert", call), request).body
        return Answer(status=200, body=upload.answer)

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # The answer leaves in one packet: two would wait for each other.
            wbufsize = -1

            def _serve(self) -> None:
                raw = self._read()
                request = _read_request(self.command, self.path, dict(self.headers.items()), raw)
                standin.requests.append(request)
                fault = standin.faults.for_request(request.verb, request.path)
                if fault is not None and fault.refusal is not None:
                    self._send(Answer(status=fault.refusal.code, body=fault.refusal.body()))
                elif fault is not None and fault.drop == "before":
                    self._hang_up()
                else:
                    answer = standin.handle(request, raw)
                    self._hang_up() if fault is not None else self._send(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def _read(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def _send(self, answer: Answer) -> None:
                content = b"" if answer.body is None else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                headers = {"Content-Type": "application/json; charset=UTF-8", **answer.headers}
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(content)
                    self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    # The client has had enough of the answer, as it may.
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Tests read what was asked from `requests`; standard error stays quiet."""

        return Handler


def _read_request(verb: str, target: str, headers: Mapping[str, str], raw: bytes) -> Request:
    parts = urlsplit(target)
    path = unquote(parts.path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    matched = discovery.match(verb, path)
    lowered = {name.lower(): value for name, value in headers.items()}
    body: Any = None
    if lowered.get("content-type", "").startswith("multipart/related"):
        # One that is malformed is refused when it is handled.
        with suppress(Refusal, ValueError, IndexError):
            body = uploads.parse_multipart(lowered, raw)[0]
    elif raw and lowered.get("content-type", "").startswith("application/json") and "upload_id" not in query:
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw.decode(errors="replace")
    method = matched.method.name if matched is not None else ""
    return Request(verb=verb, path=path, method=method, query=query, headers=lowered, body=body)


def _masked(body: JSONObject, fields: str | None) -> JSONObject:
    """A partial answer, of whole top-level fields."""
    if fields is None or "(" in fields or "/" in fields:
        return body
    wanted = set(fields.split(","))
    return {name: value for name, value in body.items() if name in wanted}
