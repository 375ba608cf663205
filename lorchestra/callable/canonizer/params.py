"""What a step asks the canonizer for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lorchestra.callable.canonizer.engines.base import EngineName
from lorchestra.callable.canonizer.iglu import SchemaAddress
from lorchestra.errors import DefinitionError, Problem, did_you_mean

RECORD_TIMEOUT_S = 5.0

_TRANSFORM = re.compile(r"([a-z][a-z0-9_]*)@(\d+\.\d+\.\d+)")
_KNOWN = ("mode", "schema_in", "transform", "schema_out", "schemas", "engine", "record_timeout_s")
_LONGEST_S = 3600


class Mode(StrEnum):
    VALIDATE_ONLY = "validate_only"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class TransformAddress:
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def folder(self) -> str:
        """Where it lies, below the content."""
        return f"transforms/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonizerParams:
    """`transform` is there in mode full, and nowhere else."""

    mode: Mode
    schema_in: SchemaAddress
    transform: TransformAddress | None
    schema_out: SchemaAddress | None
    schemas: tuple[SchemaAddress, ...]
    engine: EngineName | None
    record_timeout_s: float

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> CanonizerParams:
        """Raises DefinitionError with all mistakes."""
        problems = [_unknown(name) for name in params if name not in _KNOWN]
        values: dict[str, Any] = {}
        for name, read in (
            ("mode", _mode),
            ("schema_in", _schema),
            ("transform", _transform),
            ("schema_out", _schema),
            ("schemas", _schemas),
            ("engine", _engine),
            ("record_timeout_s", _seconds),
        ):
            try:
                values[name] = read(name, params.get(name))
            except DefinitionError as error:
                problems += error.problems
        if problems or (problems := list(_misfits(values))):
            raise DefinitionError(*problems)
        return cls(**values)

    @property
    def files(self) -> Mapping[str, str]:
        """The files that this needs: a name, and the path below the content."""
        found = {str(address): address.path for address in (self.schema_in, self.schema_out, *self.schemas) if address}
        if self.transform is not None:
            found["transform"] = f"{self.transform.folder}/transform.jsonata"
            found["metadata"] = f"{self.transform.folder}/metadata.json"
        return found


def _misfits(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["schema_in"] is None:
        yield _problem("schema_in", "'schema_in' is missing", "the Iglu address of what the records have to be")
    if values["mode"] is Mode.FULL and values["transform"] is None:
        yield _problem("transform", "'transform' is missing", "one such as gmail_to_jmap_lite@1.0.0")
    if values["mode"] is Mode.VALIDATE_ONLY:
        for name in ("transform", "schema_out"):
            if values[name] is not None:
                yield _problem(name, f"'{name}' has no meaning with mode validate_only", "no such param, or mode full")


def _mode(name: str, value: Any) -> Mode:
    if value is None:
        return Mode.FULL
    try:
        return Mode(value)
    except ValueError:
        raise DefinitionError(_problem(name, f"'{name}' is no mode", f"one of {', '.join(Mode)}")) from None


def _schema(name: str, value: object) -> SchemaAddress | None:
    return None if value is None else SchemaAddress.parse(value, param=name)


def _schemas(name: str, value: object) -> tuple[SchemaAddress, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise DefinitionError(_problem(name, f"'{name}' is no list", "a list of Iglu addresses"))
    return tuple(SchemaAddress.parse(one, param=name) for one in value)


def _transform(name: str, value: object) -> TransformAddress | None:
    if value is None:
        return None
    found = _TRANSFORM.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise DefinitionError(
            _problem(name, f"'{name}' is no transform", "name and version, such as gmail_to_jmap_lite@1.0.0")
        )
    return TransformAddress(*found.groups())


def _engine(name: str, value: Any) -> EngineName | None:
    if value is None:
        return None
    try:
        return EngineName(value)
    except ValueError:
        raise DefinitionError(_problem(name, f"'{name}' is no engine", f"one of {', '.join(EngineName)}")) from None


def _seconds(name: str, value: Any) -> float:
    if value is None:
        return RECORD_TIMEOUT_S
    if type(value) in (int, float) and 0 < value <= _LONGEST_S:
        return float(value)
    expected = f"a number of seconds above 0, and at most {_LONGEST_S}"
    raise DefinitionError(_problem(name, f"'{name}' is no such time", expected))


def _problem(name: str, found: str, expected: str) -> Problem:
    return Problem(found=found, expected=expected, path=("params", name))


def _unknown(name: str) -> Problem:
    return Problem(
        found=f"the canonizer has no param '{name}'",
        expected=f"known: {', '.join(_KNOWN)}",
        hint=did_you_mean(name, _KNOWN),
        path=("params", name),
    )
