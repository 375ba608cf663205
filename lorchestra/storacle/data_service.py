"""Storacle's service: opens runs, applies plans and answers reads, over whatever backend keeps the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from lorchestra.errors import Path
from lorchestra.json_value import JSONValue
from lorchestra.storacle.backends.base import Backend, Counts, Ledger
from lorchestra.storacle.codec import Message
from lorchestra.storacle.codec import Params as RpcParams
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods import ALIASES, METHODS
from lorchestra.storacle.params import ExecutePlan, Meta, Op, OpenRun, Query, parse, parse_ops
from lorchestra.storacle.protocol import OpStatus
from lorchestra.storacle.read_spec import parse_read
from lorchestra.storacle.service import Dispatcher, RpcError

_OPS: Path = ("plan", "ops")


class DataService:
    """Several threads may share one service."""

    def __init__(self, backend: Backend, methods: Mapping[str, Callable[[Any, Any, Path], Counts]] = METHODS) -> None:
        """`methods` are what the transactions of the backend can carry out, by name."""
        self._backend = backend
        self._methods = methods
        self._dispatcher = Dispatcher(
            {
                "run.open": self._open_run,
                "storacle.execute_plan": self._execute_plan,
                "storacle.query": self._query,
                "bq.query": self._query,
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
        op = unit[0][1]
        try:
            with self._backend.transaction(meta) as tx:
                results = []
                for index, op in unit:
                    results.append(self._apply_op(tx, op, (*_OPS, index, "params")))
                return results
        except RpcError as error:
            raise _OpRefused(op, error) from error

    def _apply_op(self, tx: Ledger, op: Op, at: Path) -> dict[str, Any]:
        name = ALIASES.get(op.method, op.method)
        method = self._methods.get(name)
        if method is None:
            raise RpcError(ErrorCode.METHOD_NOT_FOUND)
        counts = tx.recorded(op.idempotency_key)
        status = OpStatus.ALREADY
        if counts is None:
            status = OpStatus.APPLIED
            counts = method(tx, op.params, at)
            tx.record(op.idempotency_key, method=name, op_id=op.op_id, counts=counts)
        return {"op_id": op.op_id, "method": name, "status": status.value, "counts": dict(counts)}

    def _query(self, params: RpcParams) -> JSONValue:
        request = parse(Query, params)
        read = parse_read(request.read, ("read",))
        limit = request.limit if read.limit is None else min(request.limit, read.limit)
        page = self._backend.page(request.meta.namespace, read, request.after, limit)
        return {"rows": page.rows, "next": page.next}


class _OpRefused(Exception):
    def __init__(self, op: Op, error: RpcError) -> None:
        super().__init__(op.op_id)
        self.op = op
        self.error = error

    def to_dict(self) -> dict[str, Any]:
        return {"op_id": self.op.op_id, "method": self.op.method, "code": int(self.error.code), **self.error.data()}


def _require_distinct(ops: Sequence[Op]) -> None:
    seen: set[str] = set()
    for index, op in enumerate(ops):
        if op.op_id in seen:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*_OPS, index, "op_id"))
        seen.add(op.op_id)


def _units(ops: Sequence[Op]) -> Iterator[Sequence[tuple[int, Op]]]:
    """The ops with their positions: neighbours of one group together, every other op alone."""
    for _, unit in groupby(enumerate(ops), lambda entry: (entry[1].group, None if entry[1].group else entry[0])):
        yield tuple(unit)
