"""Which steps of a job are joined by streams, and in what order they run.

A segment is a chain of steps: each takes the stream of the one before it, nothing happens until the last of them, the
sink, is pulled from, and they succeed or are tried again together.

- Segments run in the order of the definition, each at the place of its sink, and no step with effects is ever moved
  past another. So a step is joined to the producer right before it, and to none further up.
- Only `plan.build` moves, because it has no effects: it stands right before the step that submits its plan.
- A stream that is not joined (its producer is further up, or several steps take it) is spilled: its producer ends a
  segment of its own and the items are written out, completely, for the later segments that take them. Plans are never
  spilled.
- The values of a step exist once its stream is drained, so no step of its segment may name them: such a step begins
  a new segment, and the stream between the two is spilled.
- A stream that nobody takes is drained where it stands. Skipped steps are in no segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from lorchestra.compiler.outputs import SHAPES
from lorchestra.schemas import JobInstance, JobStepInstance, Op

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StreamInput:
    """Whose stream a step takes; and whether it is pulled from directly, or read from where it was spilled.

    Of several steps that read a spill, only the last is given what says that records are done with: their cursors and
    markers, and what was rejected. Before that, not all of what they speak of has landed.
    """

    producer: str
    joined: bool
    is_last: bool = True


_NO_INPUTS: Mapping[str, StreamInput] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """`steps` are in the order of the stream, which is that of the definition; `inputs` is by step, then by param."""

    steps: tuple[str, ...]
    spilled: frozenset[str]
    inputs: Mapping[str, Mapping[str, StreamInput]]

    @property
    def sink(self) -> str:
        return self.steps[-1]

    def downstream_of(self, step_id: str) -> tuple[str, ...]:
        """The steps of the segment that pull from a step, directly or not."""
        return self.steps[self.steps.index(step_id) + 1 :]


class _Step(NamedTuple):
    step_id: str
    op: Op
    stream: tuple[str, str] | None
    """The param that takes a stream, and its producer."""
    names_values_of: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """Every step that is not skipped, in exactly one segment; whatever one refers to is in it or in an earlier one."""

    segments: tuple[Segment, ...]
    values_named: frozenset[str]
    """The steps whose values later steps name."""


def plan_segments(instance: JobInstance) -> SegmentPlan:
    steps = _in_order([_analyse(step) for step in instance.steps if not step.compiled_skip])
    consumers: dict[str, int] = {}
    for step in steps:
        if step.stream is not None:
            consumers[step.stream[1]] = consumers.get(step.stream[1], 0) + 1
    chains: list[list[_Step]] = []
    for step in steps:
        if step.stream is not None and chains and _may_join(chains[-1], step, step.stream[1], consumers):
            chains[-1].append(step)
        else:
            chains.append([step])
    last = {step.stream[1]: step.step_id for step in steps if step.stream is not None}
    return SegmentPlan(
        segments=tuple([_segment(chain, consumers, last) for chain in chains]),
        values_named=frozenset().union(*[step.names_values_of for step in steps]),
    )


def _analyse(step: JobStepInstance) -> _Step:
    if not step.run_refs:
        return _Step(step.step_id, step.op, None, _NOTHING)
    stream = None
    named = set()
    takes = SHAPES[step.op].takes
    for path, ref in step.run_refs:
        # The compiler lets a reference stand here only when it is to a stream, and to a stream only here.
        if takes is not None and path == (takes.name,):
            stream = (takes.name, ref.step)
        else:
            named.add(ref.step)
    return _Step(step.step_id, step.op, stream, frozenset(named))


def _in_order(steps: Sequence[_Step]) -> list[_Step]:
    """As defined, but each plan.build right before the step that submits its plan."""
    submitted = {step.step_id: step.stream[1] for step in steps if step.stream and step.op is Op.STORACLE_SUBMIT}
    if not submitted:
        return list(steps)
    by_id = {step.step_id: step for step in steps}
    plans = frozenset(submitted.values())
    ordered = []
    for step in steps:
        if step.step_id in submitted:
            ordered.append(by_id[submitted[step.step_id]])
        if step.step_id not in plans:
            ordered.append(step)
    return ordered


def _may_join(chain: Sequence[_Step], step: _Step, producer: str, consumers: Mapping[str, int]) -> bool:
    return (
        producer == chain[-1].step_id
        and consumers[producer] == 1
        and step.names_values_of.isdisjoint(member.step_id for member in chain)
    )


def _segment(chain: Sequence[_Step], consumers: Mapping[str, int], last: Mapping[str, str]) -> Segment:
    members = tuple([step.step_id for step in chain])
    inputs: dict[str, Mapping[str, StreamInput]] = {}
    for step in chain:
        if step.stream is None:
            inputs[step.step_id] = _NO_INPUTS
        else:
            name, producer = step.stream
            is_last = last[producer] == step.step_id
            inputs[step.step_id] = {name: StreamInput(producer, joined=producer in members, is_last=is_last)}
    # Whatever takes the stream of a sink is in a later segment.
    spilled = frozenset(members[-1:]) if members[-1] in consumers else _NOTHING
    return Segment(steps=members, spilled=spilled, inputs=inputs)
