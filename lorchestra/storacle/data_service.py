"""Storacle's service: opens runs, applies plans and answers reads, over whatever backend keeps the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any

from lorchestra.errors import Path
from lorchestra.json_value import JSONValue
from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.backends.base import Applied, Backend, ReadyOp, UnitRefused
from lorchestra.storacle.codec import Message
from lorchestra.storacle.codec import Params as RpcParams
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods import ALIASES, INWARD, OUTWARD
from lorchestra.storacle.outward.base import OutwardMethod, Reach
from lorchestra.storacle.params import ExecutePlan, Meta, OfNamespace, Op, OpenRun, Query, parse, parse_ops
from lorchestra.storacle.protocol import OpStatus
from lorchestra.storacle.read_spec import parse_read
from lorchestra.storacle.service import Dispatcher, RpcError

MOST_ROWS = 10_000
"""Of a page, whatever is asked."""

_OPS: Path = ("plan", "ops")
# What made the objects of a kind, and can remove them.
_MAKERS = {"file": "file.write", "sqlite": "sqlite.sync", "sheet": "sheets.write_table"}


class DataService:
    """Several threads may share one service."""

    def __init__(self, backend: Backend, outward: Mapping[str, OutwardMethod] = MappingProxyType({})) -> None:
        """`outward` are the methods that write elsewhere than to the backend, by name; ops of others are refused."""
        self._backend = backend
        self._outward = outward
        self._dispatcher = Dispatcher(
            {
                "run.open": self._open_run,
                "storacle.execute_plan": self._execute_plan,
                "storacle.query": self._query,
                "bq.query": self._query,
                "namespace.objects": self._objects,
                "namespace.clean": self._clean,
            }
        )

    def handle(self, message: object) -> Message | None:
        return self._dispatcher.handle(message)

    def close(self) -> None:
        self._backend.close()

    def _open_run(self, params: RpcParams) -> JSONValue:
        return {"token": self._backend.open_run(parse(OpenRun, params).meta)}

    def _execute_plan(self, params: RpcParams) -> JSONValue:
        """Units in order, up to the first that is refused; what was applied before it stays."""
        request = parse(ExecutePlan, params)
        ops = parse_ops(request.plan.ops, _OPS)
        _require_distinct(ops)
        results: list[dict[str, Any]] = []
        for unit in _units(ops):
            try:
                results += self._apply(unit, request.meta)
            except _OpRefused as refused:
                return {"ops": results, "refused": refused.to_dict()}
        return {"ops": results, "refused": None}

    def _apply(self, unit: Sequence[tuple[int, Op]], meta: Meta) -> list[dict[str, Any]]:
        """All ops of the unit, or none."""
        ready: list[ReadyOp] = []
        position = 0
        try:
            for position, (index, op) in enumerate(unit):  # noqa: B007  which op it was, should one be refused
                ready.append(self._ready(op, (*_OPS, index), is_alone=len(unit) == 1))
            position = 0
            if ready[0].method in OUTWARD:
                applied = [self._reach_out(ready[0], meta)]
            else:
                applied = self._backend.apply(ready, meta)
        except RpcError as error:
            raise _OpRefused(unit[position][1], error) from error
        except UnitRefused as refused:
            raise _OpRefused(unit[refused.op][1], refused.error) from refused
        return [_result(op, outcome) for op, outcome in zip(ready, applied, strict=True)]

    def _ready(self, op: Op, at: Path, *, is_alone: bool) -> ReadyOp:
        method = ALIASES.get(op.method, op.method)
        read = INWARD.get(method) or (OUTWARD.get(method) if method in self._outward else None)
        if read is None:
            raise RpcError(ErrorCode.METHOD_NOT_FOUND)
        if method in OUTWARD and not is_alone:
            # What is written elsewhere cannot be taken back when a later op of the group is refused.
            raise RpcError(ErrorCode.UNSUPPORTED, at=(*at, "group"))
        place = (*at, "params")
        return ReadyOp(
            op_id=op.op_id,
            method=method,
            params=read(op.params, place),
            key=op.idempotency_key,
            content_sha256=op.content_sha256,
            at=place,
        )

    def _reach_out(self, op: ReadyOp, meta: Meta) -> Applied:
        """First the effect and then the ledger: after a crash between the two, the effect comes again, the same."""
        method = self._outward[op.method]
        made = method.makes(op.params, meta.namespace, op.at)
        with method.alone(op.params, op.at):
            # Asked only here: another client may have carried it out, and later ops, while this one waited.
            counts = self._backend.recorded(op.key, meta)
            if counts is not None:
                return Applied(counts=counts, is_resend=True)
            if meta.namespace != PRODUCTION:
                self._backend.announce(made, meta)
            reach = Reach(namespace=meta.namespace, select=partial(self._backend.select, meta=meta))
            counts = method.carry_out(op.params, reach, op.at)
            self._backend.record(op, counts, meta)
        return Applied(counts=counts)

    def _query(self, params: RpcParams) -> JSONValue:
        request = parse(Query, params)
        read = parse_read(request.read, ("read",))
        limit = min(request.limit, read.limit if read.limit is not None else request.limit, MOST_ROWS)
        page = self._backend.page(read, request.meta, request.after, limit)
        return {"rows": page.rows, "next": page.next}

    def _objects(self, params: RpcParams) -> JSONValue:
        made = self._backend.objects(parse(OfNamespace, params).namespace)
        return {"objects": [{"kind": one.kind, "name": one.name} for one in made]}

    def _clean(self, params: RpcParams) -> JSONValue:
        """What lies elsewhere goes first: until the backend has forgotten the list, all of it can be done again."""
        namespace = parse(OfNamespace, params).namespace
        made = self._backend.objects(namespace)
        for one in made:
            if one.kind in _MAKERS:
                maker = self._outward.get(_MAKERS[one.kind])
                if maker is None:
                    raise RpcError(ErrorCode.UNSUPPORTED)
                maker.remove(one, namespace)
        self._backend.clean(namespace)
        return {"removed": len(made)}


class _OpRefused(Exception):
    def __init__(self, op: Op, error: RpcError) -> None:
        super().__init__(op.op_id)
        self.op = op
        self.error = error

    def to_dict(self) -> dict[str, Any]:
        return {"op_id": self.op.op_id, "method": self.op.method, "code": int(self.error.code), **self.error.data()}


def _result(op: ReadyOp, applied: Applied) -> dict[str, Any]:
    status = OpStatus.ALREADY if applied.is_resend else OpStatus.APPLIED
    return {"op_id": op.op_id, "method": op.method, "status": status.value, "counts": dict(applied.counts)}


def _require_distinct(ops: Sequence[Op]) -> None:
    seen: set[str] = set()
    groups: set[str] = set()
    before: str | None = None
    for index, op in enumerate(ops):
        if op.op_id in seen:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*_OPS, index, "op_id"))
        seen.add(op.op_id)
        if op.group != before and op.group in groups:
            # Its ops would be applied apart from each other.
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*_OPS, index, "group"))
        before = op.group
        if op.group is not None:
            groups.add(op.group)


def _units(ops: Sequence[Op]) -> Iterator[Sequence[tuple[int, Op]]]:
    """The ops with their positions: neighbours of one group together, every other op alone."""
    for _, unit in groupby(enumerate(ops), lambda entry: (entry[1].group, None if entry[1].group else entry[0])):
        yield tuple(unit)
