"""What is done with one record: validate, transform, validate. Pure, and the same in whatever process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

from lorchestra.callable.canonizer import engines
from lorchestra.callable.canonizer.engines.base import Engine, EngineName, Expression, TransformFailed
from lorchestra.callable.canonizer.functions import FUNCTIONS
from lorchestra.callable.canonizer.validation import Failure, Validator
from lorchestra.errors import ConfigurationError

ABOUT = ("idem_key", "source_system", "connection_name", "object_type", "external_id")
"""What a transform knows of a row beside its payload, as `$row`."""

About: TypeAlias = Mapping[str, Any]
Outcome: TypeAlias = Sequence[Any] | Failure
"""The canonical payloads that came of a record, or by what it failed."""


class Check(Protocol):
    def failure(self, value: object) -> Failure | None: ...


class Work:
    """`name` is the transform's, for what it cannot do."""

    def __init__(
        self, check_in: Check, expression: Expression | None = None, check_out: Check | None = None, *, name: str = ""
    ) -> None:
        self._check_in = check_in
        self._expression = expression
        self._check_out = check_out
        self._name = name

    def on(self, about: About, payload: Any) -> Outcome:
        failure = self._check_in.failure(payload)
        if failure is not None:
            return failure
        if self._expression is None:
            return ()
        try:
            result = self._expression.evaluate(payload, {"row": about})
        except TransformFailed as error:
            return Failure(schema=self._name, rule=error.rule)
        made = result if isinstance(result, list) else [] if result is None else [result]
        if self._check_out is not None:
            for one in made:
                failure = self._check_out.failure(one)
                if failure is not None:
                    return failure
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPlan:
    """All that it takes to make the work, as values: another process can make the same."""

    schema_in: str
    schemas: Mapping[str, str]
    """By their addresses."""
    schema_out: str | None = None
    transform: str = ""
    source: str | None = None
    engine: EngineName | None = None
    limit_s: float = 5.0

    def make(self, engine: Engine | None = None) -> Work:
        """Compiled once, by the thread that will do the work. Raises ConfigurationError."""
        return Work(
            self._validator(self.schema_in),
            None if self.source is None else self._expression(self.source, engine or engines.find(self.engine)),
            None if self.schema_out is None else self._validator(self.schema_out),
            name=self.transform,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorkPlan:
        engine = values["engine"]
        return cls(**{**values, "engine": engine and EngineName(engine)})

    def _validator(self, name: str) -> Validator:
        others = {other: content.encode() for other, content in self.schemas.items() if other != name}
        return Validator(name, self.schemas[name].encode(), others)

    def _expression(self, source: str, engine: Engine) -> Expression:
        try:
            return engine.compile(source, FUNCTIONS, self.limit_s)
        except TransformFailed as error:
            raise ConfigurationError(
                f"transform {self.transform} is no JSONata that {engine.name} understands ({error.rule})"
            ) from error
