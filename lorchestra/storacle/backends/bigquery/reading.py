"""Pages of a read. A query job gives a window of rows, and pages go through its result, which BigQuery keeps for a day.

Where rows go by their key, the next window begins behind the last row of this one: so no query sorts more than a window
has, and none is asked for each page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from google.api_core import exceptions as api
from google.cloud import bigquery

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.base import Page
from lorchestra.storacle.backends.bigquery.errors import translated
from lorchestra.storacle.backends.bigquery.jobs import Jobs
from lorchestra.storacle.backends.bigquery.selection import Query
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError

_AT_ONCE = 5_000
_MOST_ROWS = 2**63 - 1
_BEHIND = "behind"


class Reader:
    def __init__(self, jobs: Jobs, *, window_rows: int) -> None:
        self._jobs = jobs
        self._window_rows = window_rows

    def page(self, query: Query, read: Read, meta: Meta, after: Sequence[Any] | None, limit: int) -> Page:
        if limit == 0:
            return Page(rows=[], next=None)
        name = _name(read, meta)
        match after:
            case None:
                job, start = self._open(query, meta, name, behind=None), 0
            case [str(kind), *place] if kind == _BEHIND:
                job, start = self._open(query, meta, name, behind=place), 0
            case [str(job_id), int(start)] if _is_of(job_id, name) and 0 < start < _MOST_ROWS and start is not True:
                job = self._found(job_id)
            case _:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
        return self._page(job, query, start, min(limit, _AT_ONCE))

    def everything(self, query: Query, read: Read, meta: Meta) -> Iterator[dict[str, Any]]:
        """All rows as they are now, however late they are gone through."""
        limit = None if read.limit is None else min(read.limit, _MOST_ROWS)
        script = query.script(behind=None, limit=limit)
        job = self._jobs.query(script.sql, script.parameters, meta=meta, name=_name(read, meta))
        result: Any = job.result(page_size=_AT_ONCE, retry=self._jobs.retry, job_retry=None)
        return _rows(query, iter(result.pages))

    def _open(self, query: Query, meta: Meta, name: str, *, behind: Sequence[Any] | None) -> bigquery.QueryJob:
        # One more than are given, which says whether there are more.
        limit = self._window_rows + 1 if query.goes_by_key else None
        script = query.script(behind=behind, limit=limit)
        return self._jobs.query(script.sql, script.parameters, meta=meta, name=name)

    def _found(self, job_id: str) -> bigquery.QueryJob:
        try:
            return self._jobs.found(job_id)
        except api.NotFound:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",)) from None

    def _page(self, job: bigquery.QueryJob, query: Query, start: int, limit: int) -> Page:
        result: Any = job.result(page_size=limit, start_index=start, retry=self._jobs.retry, job_retry=None)
        # BigQuery gives fewer than asked where they are long.
        found = [row.values() for row in next(iter(result.pages), ())]
        total = int(result.total_rows or 0)
        given = found
        if query.goes_by_key and start + len(found) > self._window_rows:
            given = found[: self._window_rows - start]
        rows = [query.row(values) for values in given]
        following = start + len(given)
        if query.goes_by_key and following >= self._window_rows and total > self._window_rows:
            return Page(rows=rows, next=[_BEHIND, *query.place(given[-1])])
        return Page(rows=rows, next=[job.job_id, following] if following < total else None)


def _rows(query: Query, pages: Iterator[Any]) -> Iterator[dict[str, Any]]:
    while True:
        with translated():
            page = next(pages, None)
        if page is None:
            return
        yield from (query.row(row.values()) for row in page)


def _name(read: Read, meta: Meta) -> str:
    """In the id of the job: a page of one read is none of another, and none of another namespace."""
    of = [repr(read), meta.namespace, meta.read_namespace]
    return f"read_{hashlib.sha256(canonical_bytes(of)).hexdigest()[:24]}"


def _is_of(job_id: str, name: str) -> bool:
    return job_id.startswith(f"storacle_{name}_")
