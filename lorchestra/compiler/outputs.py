"""What each op takes and what it yields: the one table behind the checks of the compiler and the plan of segments.

A stream is pulled once by the step that takes it, so it has no parts and no other place. Values exist once the step
is done, and may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lorchestra.schemas import Op


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamParam:
    """The param of an op that takes a stream, and the op whose stream it takes."""

    name: str
    producer: Op
    may_be_value: bool
    """Whether the definition or the payload may also give a list in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    values: frozenset[str] = frozenset()
    stream: str | None = None
    takes: StreamParam | None = None
    required: tuple[frozenset[str], ...] = ()
    """Of each set, at least one param is given."""
    plain: frozenset[str] = frozenset()
    """Params that are known before anything is resolved: texts, and no references."""
    params: frozenset[str] | None = None
    """All the params there are; None when what the step calls decides."""

    @property
    def outputs(self) -> tuple[str, ...]:
        return (*((self.stream,) if self.stream else ()), *sorted(self.values))


SHAPES: Mapping[Op, Shape] = {
    Op.CALL: Shape(
        stream="items",
        values=frozenset({"stats", "schema_version"}),
        takes=StreamParam(name="items", producer=Op.CALL, may_be_value=True),
        required=(frozenset({"callable"}),),
        plain=frozenset({"callable"}),
    ),
    Op.PLAN_BUILD: Shape(
        stream="plan",
        takes=StreamParam(name="items", producer=Op.CALL, may_be_value=True),
        required=(frozenset({"items"}),),
        plain=frozenset({"method"}),
        params=frozenset(
            {
                "items",
                "method",
                "dataset",
                "table",
                "key_columns",
                "batch_size",
                "batch_bytes",
                "atomic",
                "fields",
                "field_map",
                "field_defaults",
            }
        ),
    ),
    Op.STORACLE_SUBMIT: Shape(
        values=frozenset({"applied", "already_applied", "methods", "ops"}),
        takes=StreamParam(name="plan", producer=Op.PLAN_BUILD, may_be_value=False),
        required=(frozenset({"plan"}),),
        params=frozenset({"plan"}),
    ),
    Op.COMPUTE_LLM: Shape(
        values=frozenset({"text", "model", "usage", "prompt_hash", "finish_reason"}),
        required=(frozenset({"prompt", "messages"}),),
        params=frozenset({"prompt", "system", "messages", "model", "max_tokens", "temperature"}),
    ),
    Op.JOB_RUN: Shape(
        values=frozenset({"run_id", "status", "outputs"}),
        required=(frozenset({"job_id"}),),
        plain=frozenset({"job_id", "version"}),
        params=frozenset({"job_id", "version", "ctx", "payload", "leave_out"}),
    ),
}


def places_of(producer: Op) -> str:
    """Where the stream of an op may stand, in words."""
    takers = [
        (shape.takes.name, op) for op, shape in SHAPES.items() if shape.takes and shape.takes.producer is producer
    ]
    return " or ".join(f"the '{name}' of a {op} step" for name, op in takers)


def stream_of(producer: Op) -> str:
    """How the stream of an op is referred to, in words."""
    return f"'@run.<{producer} step>.{SHAPES[producer].stream}'"
