"""A service that counts what it is sent and drops it: for benchmarks, in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorchestra.json_value import JSONValue
from lorchestra.storacle.codec import Message, Params
from lorchestra.storacle.params import ExecutePlan, Op, OpenRun, parse, parse_ops
from lorchestra.storacle.protocol import OpStatus
from lorchestra.storacle.service import Dispatcher


class CountingService:
    def __init__(self) -> None:
        self.ops = 0
        self.rows = 0
        self._token = 0
        self._dispatcher = Dispatcher({"run.open": self._open_run, "storacle.execute_plan": self._execute_plan})

    def handle(self, message: object) -> Message | None:
        return self._dispatcher.handle(message)

    def _open_run(self, params: Params) -> JSONValue:
        parse(OpenRun, params)
        self._token += 1
        return {"token": self._token}

    def _execute_plan(self, params: Params) -> JSONValue:
        plan = parse(ExecutePlan, params).plan
        return {"ops": [self._count(op) for op in parse_ops(plan.ops, ("plan", "ops"))], "refused": None}

    def _count(self, op: Op) -> dict[str, Any]:
        rows = op.params.get("rows") if isinstance(op.params, Mapping) else None
        count = len(rows) if isinstance(rows, (list, tuple)) else 1
        self.ops += 1
        self.rows += count
        return {
            "op_id": op.op_id,
            "method": op.method,
            "status": OpStatus.APPLIED.value,
            "counts": {"inserted": count},
        }
