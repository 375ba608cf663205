"""The storacle client: JSON-RPC over any transport, with every answer checked before it is believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from lorchestra.errors import PermanentError, TransientError, pointer
from lorchestra.json_value import JSONObject
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import codec
from lorchestra.storacle.error_codes import describe, error_for, meaning
from lorchestra.storacle.protocol import OpResult, OpStatus, PlanRefused, RpcMeta
from lorchestra.storacle.transports import Transport

if TYPE_CHECKING:
    from lorchestra.storacle.backends.base import NamespaceObject

OPEN_RUN = "run.open"
EXECUTE_PLAN = "storacle.execute_plan"
QUERY = "storacle.query"
OBJECTS = "namespace.objects"
CLEAN = "namespace.clean"

PAGE_ROWS = 1_000

_KINDS = ("table", "view", "file", "sqlite", "sheet")
_LONGEST_NAME = 2_000
_COUNT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


class RpcClient:
    """Implements StoracleClient. It keeps no state but the next id, so threads may share it."""

    def __init__(self, transport: Transport, *, ids: Iterator[int] | None = None, page_rows: int = PAGE_ROWS) -> None:
        self._transport = transport
        self._ids = count(1) if ids is None else ids
        self._page_rows = page_rows

    def open_run(self, meta: RpcMeta) -> int:
        result = _object(OPEN_RUN, self._call(OPEN_RUN, {"meta": meta.to_dict()}), ())
        token = result.get("token")
        if not isinstance(token, int) or isinstance(token, bool):
            raise _malformed(OPEN_RUN, ("token",), "an integer")
        return token

    def execute_plan(self, plan: StoraclePlan, meta: RpcMeta) -> tuple[OpResult, ...]:
        answer = self._call(EXECUTE_PLAN, {"plan": plan.to_dict(), "meta": meta.to_dict()})
        result = _object(EXECUTE_PLAN, answer, ())
        entries = _list(EXECUTE_PLAN, result.get("ops"), ("ops",))
        if len(entries) > len(plan.ops):
            raise _malformed(EXECUTE_PLAN, ("ops",), f"at most {len(plan.ops)} entries")
        results = tuple(_op_result(entry, plan.ops[index], index) for index, entry in enumerate(entries))
        refused = result.get("refused")
        if refused is not None:
            raise _refusal(refused, plan.ops, results)
        if len(results) < len(plan.ops):
            raise _malformed(EXECUTE_PLAN, ("ops",), f"{len(plan.ops)} entries, or a refused op")
        return results

    def query(self, read: JSONObject, meta: RpcMeta) -> Iterator[Mapping[str, Any]]:
        limit = read.get("limit")
        left = limit if isinstance(limit, int) and not isinstance(limit, bool) else None
        after: Any = None
        while True:
            size = self._page_rows if left is None else min(self._page_rows, left)
            params = {"read": read, "after": after, "limit": size, "meta": meta.to_dict()}
            page = _object(QUERY, self._call(QUERY, params), ())
            rows = _list(QUERY, page.get("rows"), ("rows",))
            if len(rows) > size:
                raise _malformed(QUERY, ("rows",), f"at most {size} rows")
            for index, row in enumerate(rows):
                yield _object(QUERY, row, ("rows", index))
            left = None if left is None else left - len(rows)
            following = page.get("next")
            if following is None or (left is not None and left <= 0):
                return
            if following == after:
                # The same page would come for ever.
                raise _malformed(QUERY, ("next",), "a cursor that moves on")
            after = following

    def objects(self, namespace: str) -> tuple[NamespaceObject, ...]:
        result = _object(OBJECTS, self._call(OBJECTS, {"namespace": namespace}), ())
        entries = _list(OBJECTS, result.get("objects"), ("objects",))
        return tuple(_made(entry, ("objects", index)) for index, entry in enumerate(entries))

    def clean(self, namespace: str) -> int:
        result = _object(CLEAN, self._call(CLEAN, {"namespace": namespace}), ())
        removed = result.get("removed")
        if not isinstance(removed, int) or isinstance(removed, bool) or removed < 0:
            raise _malformed(CLEAN, ("removed",), "a count")
        return removed

    def _call(self, method: str, params: JSONObject) -> Any:
        id = next(self._ids)
        answer = codec.read_response(self._transport.send(codec.request(method, params, id)), id)
        match answer:
            case codec.Failure(code, data):
                raise error_for(code, data, method=method)
            case codec.Success(result):
                return result


def _op_result(value: object, op: StoracleOp, index: int) -> OpResult:
    path = ("ops", index)
    entry = _object(EXECUTE_PLAN, value, path)
    if entry.get("op_id") != op.op_id:
        raise _malformed(EXECUTE_PLAN, (*path, "op_id"), f"'{op.op_id}'")
    found: Any = entry.get("status")
    try:
        status = OpStatus(found)
    except ValueError:
        raise _malformed(EXECUTE_PLAN, (*path, "status"), " or ".join(f"'{one}'" for one in OpStatus)) from None
    counts = _object(EXECUTE_PLAN, entry.get("counts", {}), (*path, "counts"))
    for name, number in counts.items():
        # Counts are recorded and shown, so a foreign service may put nothing else in here.
        if not isinstance(name, str) or not _COUNT_NAME.fullmatch(name):
            raise _malformed(EXECUTE_PLAN, (*path, "counts"), "lower-case names")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise _malformed(EXECUTE_PLAN, (*path, "counts", name), "a count")
    return OpResult(op_id=op.op_id, method=op.method, status=status, counts=dict(counts))


def _made(value: object, path: tuple[str | int, ...]) -> NamespaceObject:
    # Imported here because a client of a service elsewhere seldom asks for this, and it takes long.
    from lorchestra.storacle.backends.base import NamespaceObject

    entry = _object(OBJECTS, value, path)
    kind, name = entry.get("kind"), entry.get("name")
    if kind not in _KINDS:
        raise _malformed(OBJECTS, (*path, "kind"), " or ".join(f"'{one}'" for one in _KINDS))
    # Names are shown on a terminal, so a foreign service may put nothing in them that acts there.
    if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise _malformed(OBJECTS, (*path, "name"), "a name")
    return NamespaceObject(kind=kind, name=name)


def _refusal(
    value: object, ops: Sequence[StoracleOp], applied: tuple[OpResult, ...]
) -> PlanRefused | TransientError | PermanentError:
    path = ("refused",)
    refused = _object(EXECUTE_PLAN, value, path)
    # Ops of the same group as the refused one are undone, so it need not be the very next.
    op = next((op for op in ops[len(applied) :] if op.op_id == refused.get("op_id")), None)
    if op is None:
        return _malformed(EXECUTE_PLAN, (*path, "op_id"), "the id of an op that was not applied")
    code = refused.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        return _malformed(EXECUTE_PLAN, (*path, "code"), "an integer")
    if issubclass(meaning(code).error, TransientError):
        return error_for(code, refused, method=op.method, op_id=op.op_id)
    return PlanRefused(
        op_id=op.op_id, method=op.method, reason=describe(code, refused), applied=applied, code=int(code)
    )


def _object(method: str, value: object, path: tuple[str | int, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _malformed(method, path, "an object")
    return value


def _list(method: str, value: object, path: tuple[str | int, ...]) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise _malformed(method, path, "a list")
    return value


def _malformed(method: str, path: tuple[str | int, ...], expected: str) -> PermanentError:
    return PermanentError(f"storacle: {method}: the answer is malformed at /result{pointer(path)}: expected {expected}")
