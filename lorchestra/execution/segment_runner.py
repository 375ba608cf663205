"""Carries out one try of a segment: joins its steps by streams and pulls from the last one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TypeAlias

from lorchestra import items as item_stream
from lorchestra.compiler.segments import Segment
from lorchestra.handlers.base import StepAnswer
from lorchestra.items import Item, Record
from lorchestra.ops import Flow
from lorchestra.run_identity import RunIdentity, value_name
from lorchestra.run_store.protocol import PrivateValues
from lorchestra.supervision.scope import Scope, StepRaised, StepStopped, pull

StartStep: TypeAlias = Callable[[str, Mapping[str, Iterator[Any]]], Flow | StepAnswer]
"""Begins a step, given the streams it takes by the name of the param: done at once, or a flow to be pulled from."""


class Spills:
    """Items of a run that are written out because more than one step reads them."""

    def __init__(self, private: PrivateValues, identity: RunIdentity, *, attempt_of: Callable[[str], int]) -> None:
        self._private = private
        self._identity = identity
        self._attempt_of = attempt_of

    def write(self, step_id: str, items: Iterator[Item]) -> None:
        name = self._identity.value_name(f"{step_id}.items")
        self._private.spill(self._identity.run_id, name, map(item_stream.encode, items))

    def read(self, step_id: str, *, records_only: bool) -> Iterator[Item]:
        name = value_name(f"{step_id}.items", self._attempt_of(step_id))
        items = map(item_stream.decode, self._private.read_spill(self._identity.run_id, name))
        return (item for item in items if type(item) is Record) if records_only else items


def run_segment(segment: Segment, start: StartStep, *, scope: Scope, spills: Spills) -> dict[str, StepAnswer]:
    """What each step of the segment answered. Raises StepRaised, which names the step whose code raised."""
    opened: list[tuple[str, Generator[Any, None, None]]] = []
    try:
        answers = _pull_from_sink(segment, start, scope, spills, opened)
    except (StepRaised, StepStopped):
        raise
    except BaseException as error:
        # Before the streams are closed, so that what goes wrong there does not count as the reason.
        raise scope.fail(scope.mark[0], error) from error
    finally:
        # By the thread that ran them, in order, and not whenever they happen to be collected.
        for step_id, stream in reversed(opened):
            try:
                stream.close()
            except Exception as error:  # noqa: BLE001  (an author's `finally` may raise anything; the scope raises it)
                scope.fail(step_id, error)
    scope.check()
    return answers


def _pull_from_sink(
    segment: Segment,
    start: StartStep,
    scope: Scope,
    spills: Spills,
    opened: list[tuple[str, Generator[Any, None, None]]],
) -> dict[str, StepAnswer]:
    streams: dict[str, Iterator[Any]] = {}
    flows: dict[str, Flow] = {}
    answers: dict[str, StepAnswer] = {}
    for step_id in segment.steps:
        inputs: dict[str, Iterator[Any]] = {}
        for name, source in segment.inputs[step_id].items():
            if source.joined:
                inputs[name] = pull(scope, streams.pop(source.producer), producer=source.producer, consumer=step_id)
            else:
                inputs[name] = spills.read(source.producer, records_only=not source.is_last)
        scope.enter(step_id)
        begun = start(step_id, inputs)
        if isinstance(begun, StepAnswer):
            answers[step_id] = begun
            continue
        stream = begun.stream()
        opened.append((step_id, stream))
        flows[step_id], streams[step_id] = begun, stream
    for step_id, left in streams.items():
        # What no step pulls ends here: written out for the steps that will read it, or only counted.
        if step_id in segment.spilled:
            spills.write(step_id, pull(scope, left, producer=step_id, consumer=step_id))
        else:
            for _ in left:
                scope.enter(step_id)
    for step_id, flow in flows.items():
        scope.enter(step_id)
        answers[step_id] = flow.finish()
    return answers
