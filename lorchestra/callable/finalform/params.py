"""What a step says of measures and bindings: which versions of them it works with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from lorchestra.schemas.value import Value

VersionedName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*@[1-9][0-9]*-[0-9]+-[0-9]+$", max_length=100)
]

_OTHER_NAMES = {"phq_9": "phq9", "gad_7": "gad7"}


def _usual(name: str) -> str:
    measure, version = name.split("@")
    plain = measure.lower().replace("-", "_")
    return f"{_OTHER_NAMES.get(plain, plain)}@{version}"


MeasureName: TypeAlias = Annotated[VersionedName, AfterValidator(_usual)]
"""By whatever name: `phq-9` is `phq9`."""


@dataclass(frozen=True, slots=True)
class Ref:
    """One version of a measure or a binding."""

    id: str
    version: str

    @classmethod
    def of(cls, name: str) -> Ref:
        return cls(*name.split("@"))

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"


class ScoreParams(Value):
    measures: tuple[MeasureName, ...] = Field(min_length=1)

    @field_validator("measures")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len({name.partition("@")[0] for name in names}) < len(names):
            raise ValueError("found a measure twice; expected each measure once")
        return names

    @property
    def measure_refs(self) -> tuple[Ref, ...]:
        return tuple(map(Ref.of, self.measures))


class FormParams(ScoreParams):
    binding: VersionedName

    @property
    def binding_ref(self) -> Ref:
        return Ref.of(self.binding)


class Yields(StrEnum):
    MEASUREMENT_EVENTS = "measurement_events"
    OBSERVATIONS = "observations"


class FinalformParams(FormParams):
    yields: Yields
