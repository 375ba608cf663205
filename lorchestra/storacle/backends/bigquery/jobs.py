"""Jobs of BigQuery: named by us, labelled, capped, and found again when the answer to their start was lost."""

from __future__ import annotations

import io
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import google.auth
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import MalformedError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from google.oauth2 import service_account

from lorchestra.storacle.backends.bigquery.config import BigQueryConfig

if TYPE_CHECKING:
    from google.cloud.bigquery.table import RowIterator

    from lorchestra.storacle.params import Meta

Parameters: TypeAlias = Sequence[bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter]

# Longer than BigQuery holds back an answer to whoever waits for a job.
_REQUEST_TIMEOUT_S = 120.0
_NOT_OF_LABELS = re.compile(r"[^a-z0-9_-]")


def _new_id() -> str:
    return uuid.uuid4().hex


class Jobs:
    """Raises what Google's client raises; `errors.translated` stands around whoever asks."""

    def __init__(
        self,
        config: BigQueryConfig,
        *,
        retry: Retry = bigquery.DEFAULT_RETRY,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._config = config
        self._new_id = new_id
        self.retry = retry.with_timeout(config.request_patience_s)
        self._lock = threading.Lock()
        self._client: bigquery.Client | None = None

    @property
    def client(self) -> bigquery.Client:
        """Made when it is first needed: it looks for credentials."""
        with self._lock:
            if self._client is None:
                self._client = _client(self._config)
            return self._client

    def query(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        meta: Meta | None,
        name: str = "query",
    ) -> bigquery.QueryJob:
        """The job, started; asking for its result waits for it."""
        job_id = self.new_job_id(name)
        config = bigquery.QueryJobConfig(
            query_parameters=list(parameters),
            labels=self._labels(meta),
            use_legacy_sql=False,
        )
        if self._config.max_bytes_billed is not None:
            config.maximum_bytes_billed = self._config.max_bytes_billed
        try:
            return self.client.query(
                sql, job_config=config, job_id=job_id, retry=self.retry, job_retry=None, api_method="INSERT"
            )
        except api.Conflict:
            # The id is new, so it is this very job, and the answer to its start was lost.
            return self.found(job_id)

    def rows(self, sql: str, parameters: Parameters = (), *, meta: Meta | None, name: str = "query") -> RowIterator:
        return self.query(sql, parameters, meta=meta, name=name).result(retry=self.retry, job_retry=None)

    def dry_run(self, sql: str) -> bigquery.QueryJob:
        """What the query would give; nothing is read for it."""
        config = bigquery.QueryJobConfig(dry_run=True, use_legacy_sql=False)
        return self.client.query(sql, job_config=config, retry=self.retry, job_retry=None)

    def load(self, lines: BinaryIO, table: str, schema: Sequence[bigquery.SchemaField], *, meta: Meta | None) -> None:
        """Rows as lines of JSON into a table that is there and empty."""
        job_id = self.new_job_id("load")
        config = bigquery.LoadJobConfig(
            schema=list(schema),
            labels=self._labels(meta),
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            write_disposition=bigquery.WriteDisposition.WRITE_EMPTY,
        )
        try:
            job: Any = self.client.load_table_from_file(
                lines, table, rewind=True, size=lines.seek(0, io.SEEK_END), job_config=config, job_id=job_id
            )
        except api.Conflict:
            job = self.client.get_job(job_id, retry=self.retry)
        job.result(retry=self.retry)

    def found(self, job_id: str) -> bigquery.QueryJob:
        """A job by its id. Raises NotFound, also for a job of another kind."""
        job = self.client.get_job(job_id, retry=self.retry)
        if not isinstance(job, bigquery.QueryJob):
            raise api.NotFound("no query")  # type: ignore[no-untyped-call]  # of Google's own
        return job

    def new_job_id(self, name: str) -> str:
        return f"storacle_{name}_{self._new_id()}"

    def _labels(self, meta: Meta | None) -> Mapping[str, str]:
        labels = {**self._config.labels, "storacle": "data-plane"}
        if meta is not None:
            labels["lorchestra_run"] = label_value(meta.run_id)
            labels["lorchestra_namespace"] = label_value(meta.namespace)
            if meta.job_id is not None:
                labels["lorchestra_job"] = label_value(meta.job_id)
        return labels

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()  # type: ignore[no-untyped-call]  # of Google's own
                self._client = None


def label_value(text: str) -> str:
    """A text in the letters that labels have."""
    return _NOT_OF_LABELS.sub("-", text.lower())[:63]


class _Session(AuthorizedSession):
    """Gives up waiting for an answer in the end: Google's client waits for ever, and a connection may be dead."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:  # type: ignore[override]  # wider
        options["timeout"] = options.get("timeout") or _REQUEST_TIMEOUT_S
        return super().request(method, url, *args, **options)  # type: ignore[no-untyped-call]  # of Google's own


def _client(config: BigQueryConfig) -> bigquery.Client:
    options: dict[str, Any] = {}
    if config.endpoint is not None:
        options["client_options"] = {"api_endpoint": config.endpoint}
    credentials = _credentials(config)
    http = _Session(credentials)  # type: ignore[no-untyped-call]  # of Google's own
    return bigquery.Client(
        project=config.project, location=config.location, credentials=credentials, _http=http, **options
    )


def _credentials(config: BigQueryConfig) -> Any:
    """Raises google.auth.exceptions.GoogleAuthError for credentials that are none."""
    if config.endpoint is not None and not config.endpoint.startswith("https:"):
        # A token would be readable on the way.
        return AnonymousCredentials()  # type: ignore[no-untyped-call]  # of Google's own
    if config.credentials is None:
        return google.auth.default(scopes=bigquery.Client.SCOPE)[0]
    found = _of_key(config.credentials())
    if found is None:
        # Raised here and not there: that error may quote the key.
        raise MalformedError("the credentials for BigQuery are no key of a service account")  # type: ignore[no-untyped-call]
    return found


def _of_key(text: str) -> Any:
    """None for a text that is no key of a service account."""
    try:
        key: Any = json.loads(text)
        return service_account.Credentials.from_service_account_info(key, scopes=bigquery.Client.SCOPE)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):
        return None
