"""The stage: rows come in, and what is made of each goes out, with a word on what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from types import MappingProxyType
from typing import Any, TypeAlias

from lorchestra import idem_key
from lorchestra.callable.canonizer import engines
from lorchestra.callable.canonizer.engines.base import Engine
from lorchestra.callable.canonizer.params import CanonizerParams, Mode
from lorchestra.callable.canonizer.processes import BATCH_BYTES, BATCH_RECORDS, Batch, Processes, encoded
from lorchestra.callable.canonizer.transform import Transform
from lorchestra.callable.canonizer.validation import Failure
from lorchestra.callable.canonizer.work import ABOUT, Outcome, Work, WorkPlan
from lorchestra.callable.context import CallableContext
from lorchestra.errors import PermanentError
from lorchestra.items import Item, MarkerResult, Record, Rejected
from lorchestra.json_value import JSONObject, thaw

Worked: TypeAlias = tuple[Item, Outcome | None]
"""An item, and what came of it; of an item that is no record, nothing does."""


class Stage:
    """What a step asks for, with its resources read; `engine` takes the place of the one that it would find.

    Raises ConfigurationError.
    """

    def __init__(self, params: CanonizerParams, context: CallableContext, *, engine: Engine | None = None) -> None:
        self._params = params
        self._context = context
        self._engine = engine
        contents = {name: resource.content for name, resource in context.resources.items()}
        self._transform: Transform | None = None
        if params.transform is not None:
            self._transform = Transform(params.transform, contents["transform"], contents["metadata"])
            self._transform.require_fit(params)
        addresses = [address for address in (params.schema_in, params.schema_out, *params.schemas) if address]
        self._plan = WorkPlan(
            schema_in=str(params.schema_in),
            schemas={str(address): contents[str(address)].decode() for address in addresses},
            schema_out=None if params.schema_out is None else str(params.schema_out),
            transform=str(params.transform or ""),
            source=None if self._transform is None else self._transform.source,
            engine=params.engine,
            limit_s=params.record_timeout_s,
        )
        self._counts: Counter[MarkerResult] = Counter()

    def items(self) -> Iterator[Item | JSONObject]:
        at = self._context.clock.now().isoformat()
        engine = None if self._transform is None else self._engine or engines.find(self._params.engine)
        with closing(self._worked(engine)) as worked:
            for item, outcome in worked:
                if outcome is None or not isinstance(item, Record):
                    yield item
                else:
                    yield from self._results(item, outcome, at)
        if self._counts:
            yield self._event(at)

    def _worked(self, engine: Engine | None) -> Generator[Worked, None, None]:
        # Compiled here also where others do the work: mistakes in a transform or a schema are told the same way.
        work = self._plan.make(engine)
        items = self._context.items
        if engine is None or engine.can_be_stopped:
            # To start a process takes as long as to work on a few hundred records.
            few = list(islice(items, BATCH_RECORDS * self._context.workers)) if self._context.workers > 1 else []
            if self._context.workers == 1 or len(few) < BATCH_RECORDS * self._context.workers:
                return _worked_here(work, chain(few, items))
            items = chain(few, items)
        return _worked_elsewhere(self._plan, items, self._context)

    def _results(self, record: Record, outcome: Outcome, at: str) -> Iterator[Item | JSONObject]:
        key = record.idem_key
        if key is None:
            raise PermanentError("a row has no idem_key; what the canonizer reads has one in each row")
        if isinstance(outcome, Failure):
            result = MarkerResult.QUARANTINED
            if self._transform is None:
                yield {"idem_key": key, "validation_status": "fail"}
            yield Rejected(idem_key=key, schema=outcome.schema, pointer=outcome.pointer, rule=outcome.rule)
        elif self._transform is None:
            result = MarkerResult.OK
            yield {"idem_key": key, "validation_status": "pass"}
        else:
            result = MarkerResult.OK if outcome else MarkerResult.EMPTY
            for suffix, payload in self._suffixed(outcome):
                yield self._row(record.data, idem_key.derived(key, suffix), payload, at)
        self._counts[result] += 1
        yield from self._context.done(record, result)

    def _suffixed(self, payloads: Any) -> Iterator[tuple[str, Any]]:
        """Each payload with what tells it apart from the others of its record."""
        assert self._transform is not None
        name, item_id = self._transform.schema_out.name, self._transform.metadata.item_id
        if len(payloads) == 1 and item_id is None:
            yield name, payloads[0]
            return
        for number, payload in enumerate(payloads):
            given = payload.get(item_id) if item_id is not None and isinstance(payload, Mapping) else None
            yield f"{name}/{number if given is None else given}", payload

    def _row(self, source: JSONObject, key: str, payload: Any, at: str) -> JSONObject:
        assert self._transform is not None
        return {
            **_about(source),
            "idem_key": key,
            "canonical_schema": self._transform.metadata.schema_out,
            "canonical_format": self._transform.metadata.canonical_format,
            "transform_ref": str(self._transform.address),
            "canonicalized_at": at,
            "payload": payload,
        }

    def _event(self, at: str) -> Record:
        """Named by its counts, too: a stage that is taken up again may have other ones, and tells that as well."""
        context = self._context
        kind = "validate.completed" if self._params.mode is Mode.VALIDATE_ONLY else "canonize.completed"
        counts = {result.value: self._counts[result] for result in MarkerResult}
        name = ":".join((context.run_id, context.step_id, kind, *map(str, counts.values())))
        row = {
            "idem_key": name,
            "event_id": name,
            "event_type": kind,
            "source_system": "lorchestra",
            "status": "partial" if counts[MarkerResult.QUARANTINED] else "ok",
            "run_id": context.run_id,
            "created_at": at,
            "payload": {"transform": self._plan.transform or None, "schema_in": self._plan.schema_in, **counts},
        }
        return Record(row, method="event.append")


def _worked_here(work: Work, items: Iterator[Item]) -> Generator[Worked, None, None]:
    for item in items:
        yield item, work.on(_about(item.data), _payload(item)) if isinstance(item, Record) else None


def _worked_elsewhere(plan: WorkPlan, items: Iterator[Item], context: CallableContext) -> Generator[Worked, None, None]:
    sent: list[tuple[Item, ...]] = []

    def batches() -> Iterator[Batch]:
        for ones, batch in _batched(items):
            sent.append(ones)
            yield batch

    with Processes(plan, context.workers, context.token) as processes:
        for outcomes in processes.outcomes(batches()):
            found = iter(outcomes)
            for item in sent.pop(0):
                yield item, next(found) if isinstance(item, Record) else None


def _batched(items: Iterator[Item]) -> Iterator[tuple[tuple[Item, ...], Batch]]:
    ones: list[Item] = []
    records: list[bytes] = []
    size = 0
    for item in items:
        ones.append(item)
        if isinstance(item, Record):
            records.append(encoded(_about(item.data), _payload(item)))
            size += len(records[-1])
        if len(ones) >= BATCH_RECORDS or size >= BATCH_BYTES:
            yield tuple(ones), Batch(tuple(records))
            ones, records, size = [], [], 0
    if ones:
        yield tuple(ones), Batch(tuple(records))


def _about(data: JSONObject) -> JSONObject:
    return {name: data[name] for name in ABOUT if name in data}


def _payload(record: Record) -> Any:
    payload = record.data.get("payload")
    # What stands in a definition is frozen, and engines know plain values only.
    return thaw(payload) if type(payload) in (MappingProxyType, tuple) else payload
