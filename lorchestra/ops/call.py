"""`call`: a callable is given its input and yields items."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from types import GeneratorType
from typing import Any

import orjson

from lorchestra.callable import CallableResult
from lorchestra.callable.context import CallableContext
from lorchestra.callable.registry import LoadedCallable
from lorchestra.connections.known import Connections
from lorchestra.errors import PermanentError, pointer
from lorchestra.handlers.base import StepAnswer
from lorchestra.items import Item, Record, Rejected, Tally, as_item, encode
from lorchestra.json_value import canonical_bytes, sha256, thaw
from lorchestra.language import references
from lorchestra.ops.base import StepContext
from lorchestra.reporting import log
from lorchestra.schemas import OnError
from lorchestra.storacle.read_spec import parse_read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH

# Params of the step that are for the executor; the callable is given the rest.
_OURS = frozenset({"callable", "items", "read"})

_NO_CONNECTIONS = Connections()

_LOG = log.get_logger("lorchestra.callable")


class RecordRejected(PermanentError):
    def __init__(self, rejected: Rejected) -> None:
        super().__init__(
            f"record '{rejected.idem_key}' was rejected at '{rejected.pointer}' by rule '{rejected.rule}' "
            f"of {rejected.schema}, and the step says `on_error: fail`"
        )


class Call:
    """One call. The callable runs when its first item is asked for."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._result: CallableResult | None = None
        self._tally = Tally(context.services.digester.key)
        self._resources: dict[str, str] = {}

    def stream(self) -> Generator[Item, None, None]:
        context = self._context
        loaded = context.services.callables.get(context.params["callable"]).load()
        params = params_of(context.params)
        # Most small callables take params alone, and a context takes longer to make than they do to run.
        wants_context = loaded.wants_context or "read" in context.params
        given = self._callable_context(loaded, params) if wants_context else None
        self._result = result = loaded.execute(params, given)
        fails = context.step.on_error is OnError.FAIL
        values = result.items if result.items is not None else _lines(Path(result.items_ref or ""))
        try:
            for value in values:
                item = as_item(value)
                if fails and type(item) is Rejected:
                    raise RecordRejected(item)
                self._tally.add(item, encode(item))
                yield item
        finally:
            if isinstance(values, GeneratorType):
                # The author's `finally` runs when the step ends, on its thread, and not whenever it is collected.
                values.close()

    def finish(self) -> StepAnswer:
        if self._result is None:
            raise PermanentError("the callable's items were never asked for")
        stats, counts = self._result.stats, self._tally.counts()
        return StepAnswer(
            output={"stats": _json_copy(stats) if stats else {}, "schema_version": self._result.schema_version},
            counts=counts,
            digest=self._tally.hexdigest(),
            detail={"resources": self._resources} if self._resources else {},
            partial="rejected" in counts,
        )

    def _callable_context(self, loaded: LoadedCallable, params: Mapping[str, Any]) -> CallableContext:
        context = self._context
        wanted = loaded.resources(params)
        resources = context.services.resources.load(wanted) if wanted else {}
        if resources:
            self._resources = {name: resource.sha256 for name, resource in resources.items()}
        read = None if "items" in context.params else context.params.get("read") or loaded.reads(params)
        stage = None if read is None else _stage_of(read)
        code_hash = "" if stage is None else self._code_hash(loaded.name)
        return CallableContext(
            run_id=context.identity.run_id,
            step_id=context.step.step_id,
            namespace=context.identity.namespace,
            clock=context.services.clock,
            log=log.CountsLog(_LOG.bind(step_id=context.step.step_id)),
            token=context.scope,
            items=self._input(read, code_hash),
            resources=resources,
            connections=self._connections(loaded, params),
            workers=context.step.workers,
            stage=stage,
            code_hash=code_hash,
        )

    def _connections(self, loaded: LoadedCallable, params: Mapping[str, Any]) -> Connections:
        # Made once for all steps that declare none, as nearly all do.
        if not loaded.wants_connections:
            return _NO_CONNECTIONS
        return self._context.services.connections.only(*loaded.connections(params))

    def _code_hash(self, name: str) -> str:
        """Params count as they are written: a date that is given anew each day makes no other code."""
        context = self._context
        written = {param: value for param, value in context.step.template.items() if param not in _OURS}
        return sha256([context.identity.code[name], self._resources, written])

    def _input(self, read: Mapping[str, Any] | None, code_hash: str) -> Iterator[Item]:
        context = self._context
        if "items" in context.params:
            return _input_items(context.params["items"])
        if read is None:
            return iter(())
        self._check_written()
        stage = _stage_of(read)
        if stage is not None:
            return self._read({**read, "unprocessed": {"stage": stage, "code_hash": code_hash}})
        return self._read(read)

    def _check_written(self) -> None:
        """A `read` that stands in the definition can be quoted, and storacle's answer to it quotes nothing."""
        written = self._context.step.template.get("read")
        if not isinstance(written, Mapping) or references.has_refs(references.parse(written)):
            return
        try:
            parse_read(written, ("read",))
        except RpcError as error:
            raise PermanentError(f"the step's `read` is not valid at {pointer(error.at)}") from None

    def _read(self, read: Mapping[str, Any]) -> Iterator[Item]:
        context = self._context
        client = context.services.storacle()
        rows = client.query(read, context.claim.meta(client, context.step.step_id))
        asks_for_content = read.get("unprocessed") is not None
        for row in rows:
            context.scope.progress()
            if asks_for_content:
                yield Record({name: row[name] for name in row if name != CONTENT_HASH}, content_hash=row[CONTENT_HASH])
            else:
                yield Record(row)


def params_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a step that are the callable's."""
    return {name: value for name, value in params.items() if name not in _OURS}


def _stage_of(read: Mapping[str, Any]) -> str | None:
    asked = read.get("unprocessed")
    stage = asked.get("stage") if isinstance(asked, Mapping) else asked
    return stage if isinstance(stage, str) else None


def _json_copy(stats: Mapping[str, Any]) -> Mapping[str, Any]:
    copy = thaw(stats)
    try:
        canonical_bytes(copy)
    except TypeError:
        # Without the cause: what a foreign mapping says of itself may hold values.
        raise PermanentError("the callable's stats hold a value that JSON cannot represent") from None
    return copy  # type: ignore[no-any-return]  # a mapping thaws to a dict


def _input_items(items: Iterable[object]) -> Iterator[Item]:
    # A definition may also spell its items out, as plain objects.
    return map(as_item, items)


def _lines(path: Path) -> Iterator[object]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                raise PermanentError(f"line {number} of the callable's items_ref is not JSON") from None
