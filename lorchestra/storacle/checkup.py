"""Whether a storacle does what it promises: access, tables, a round trip, fencing, and a race of two writers.

What is written is written into a smoke namespace of its own, and removed afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeAlias

from lorchestra.errors import LorchestraError
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.protocol import OpResult, OpStatus, PlanRefused, RpcMeta, StoracleClient
from lorchestra.storacle.tables import TABLES

NewClient: TypeAlias = Callable[[], AbstractContextManager[StoracleClient]]
"""A client of its own, which shares as little with others as one of another process would."""

_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    name: str
    is_ok: bool
    said: str


class _Wrong(Exception):
    """The storacle answered, and something else than it promises."""


class Checkup:
    """`namespace` is one that nobody uses, such as `smoke_check1f00`."""

    def __init__(
        self, new_client: NewClient, *, namespace: str, run_id: str, look_at_file: Callable[[], str] | None = None
    ) -> None:
        """`look_at_file` says that the file of the data is intact, where there is one, or raises."""
        self._new_client = new_client
        self._look_at_file = look_at_file
        self._names = map(str, count())
        self._meta = RpcMeta(
            job_id="storacle-check",
            run_id=run_id,
            step_id="check",
            correlation_id=run_id,
            ts=datetime.now(UTC).isoformat(),
            namespace=namespace,
        )

    def findings(self) -> Iterator[Finding]:
        """One after the other, as they are made. Without access there is nothing more to find out."""
        with self._new_client() as client:
            access = _finding("access", lambda: self._open(client))
            yield access
            if not access.is_ok:
                return
            if self._look_at_file is not None:
                yield _finding("file", self._look_at_file)
            yield _finding("tables", lambda: self._tables(client))
            try:
                yield _finding("round trip", lambda: self._round_trip(client))
                yield _finding("fencing", lambda: self._fencing(client))
                yield _finding("race", lambda: self._race(client))
            finally:
                clean = _finding("clean up", lambda: self._clean(client))
            yield clean

    # What is looked at

    def _open(self, client: StoracleClient) -> str:
        self._meta = replace(self._meta, token=client.open_run(self._meta))
        return f"opened a run in {self._meta.namespace}"

    def _tables(self, client: StoracleClient) -> str:
        """Each is asked for a row that it cannot have, which says whether it can be read and has the columns."""
        for table in TABLES:
            read: dict[str, Any] = {
                "dataset": table.dataset,
                "table": table.name,
                "columns": [column.name for column in table.columns],
                "where": {name: {"in": []} for name in table.key_columns},
            }
            list(client.query(read, replace(self._meta, namespace=PRODUCTION, token=None)))
        return f"{len(TABLES)} tables of production can be read, or are yet to be made"

    def _round_trip(self, client: StoracleClient) -> str:
        row = {"idem_key": "check:1", "source_system": "check", "payload": {"n": 1, "texts": ["é", None, 2.5]}}
        fill = self._op("table.upsert", _rows([row]), group="g")
        put = self._op("state.put", {"key": "check", "value": {"page": 1}}, group="g")
        first = self._submit(client, fill, put)
        _expect(first[0].counts.get("inserted") == 1, "an upsert of a new row did not say that it was inserted")
        again = self._submit(client, fill, put)
        _expect([one.status for one in again] == [OpStatus.ALREADY] * 2, "a plan sent again was not recognised")
        changed = {**row, "payload": {"n": 2}}
        second = self._submit(client, self._op("table.upsert", _rows([changed])))
        _expect(second[0].counts.get("updated") == 1, "an upsert of a changed row did not say that it was updated")
        found = self._read(client)
        _expect([one["payload"] for one in found] == [{"n": 2}], "a row came back otherwise than it was written")
        sql = "SELECT JSON_VALUE(payload, '$.n') AS n FROM raw.raw_objects"
        self._submit(client, self._op("view.create", {"dataset": "check", "table": "seen", "sql": sql}))
        seen = list(client.query({"dataset": "check", "table": "seen"}, self._meta))
        _expect([dict(one) for one in seen] == [{"n": "2"}], "a view gave something else than its query")
        return "rows, cursors and views come back as they were written, and a plan sent again has no second effect"

    def _fencing(self, client: StoracleClient) -> str:
        stale = self._meta
        self._meta = replace(stale, token=client.open_run(stale))
        try:
            client.execute_plan(self._plan(self._op("table.upsert", _rows([{"idem_key": "check:stale"}]))), stale)
        except PlanRefused as refused:
            _expect(
                refused.code == ErrorCode.FENCED, "a worker whose run was opened anew was refused for another reason"
            )
            return "a worker whose run was opened anew may write no more"
        raise _Wrong("a worker whose run was opened anew could still write")

    def _race(self, client: StoracleClient) -> str:
        """Each writer has rows of its own, and both send one plan that is the same."""
        before = len(self._read(client))
        shared = [self._op("wal.append", _rows([{"idem_key": f"check:both:{number}"}])) for number in range(_ROUNDS)]
        failed: list[LorchestraError] = []
        statuses: list[OpStatus] = []
        writers = [
            threading.Thread(target=self._write, args=(who, shared, statuses, failed), daemon=True) for who in "ab"
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        for error in failed:
            raise error
        found = len(self._read(client)) - before
        _expect(statuses.count(OpStatus.APPLIED) == _ROUNDS, "an op that two writers sent was applied more than once")
        _expect(found == 3 * _ROUNDS, "rows of writers that raced were lost, or written twice")
        return f"two writers at once lost nothing and doubled nothing ({found} rows)"

    def _write(
        self, who: str, shared: Sequence[StoracleOp], statuses: list[OpStatus], failed: list[LorchestraError]
    ) -> None:
        try:
            with self._new_client() as client:
                for number, op in enumerate(shared):
                    own = self._op(
                        "table.upsert", _rows([{"idem_key": f"check:{who}:{number}"}]), name=f"{who}{number}"
                    )
                    results = self._submit(client, own, op)
                    statuses.append(results[1].status)
        except LorchestraError as error:
            failed.append(error)

    def _clean(self, client: StoracleClient) -> str:
        client.clean(self._meta.namespace)
        _expect(not client.objects(self._meta.namespace), "something of the check is still listed")
        return "nothing of the check is left"

    # How it is asked

    def _op(self, method: str, params: Any, *, group: str | None = None, name: str | None = None) -> StoracleOp:
        name = name or next(self._names)
        key = f"{self._meta.run_id} {name}"
        return StoracleOp(op_id=f"check-{name}", method=method, params=params, idempotency_key=key, group=group)

    def _plan(self, *ops: StoracleOp) -> StoraclePlan:
        return StoraclePlan(correlation_id=self._meta.correlation_id, ops=ops)

    def _submit(self, client: StoracleClient, *ops: StoracleOp) -> tuple[OpResult, ...]:
        return client.execute_plan(self._plan(*ops), self._meta)

    def _read(self, client: StoracleClient) -> list[Any]:
        return list(client.query({"dataset": "raw", "table": "raw_objects"}, self._meta))


def _rows(rows: Sequence[Any]) -> dict[str, Any]:
    return {"dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"], "rows": rows}


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Wrong(otherwise)


def _finding(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, is_ok=True, said=look())
    except (LorchestraError, _Wrong) as error:
        return Finding(name=name, is_ok=False, said=str(error))
