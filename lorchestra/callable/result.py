"""What a callable gives back. It is success only; failures are exceptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import GeneratorType, NoneType
from typing import Any

from lorchestra.code_names import plain_name
from lorchestra.errors import PermanentError

# The usual types come first: an abstract class is slow to ask.
_TEXT = (str, NoneType)
_ITEMS = (list, GeneratorType, NoneType, Iterable)
_STATS = (dict, NoneType, Mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallableResult:
    """Exactly one of `items` (an iterable, lazy if it likes) and `items_ref` (a file of JSON lines) is given."""

    schema_version: str = "1.0"
    items: Iterable[object] | None = None
    items_ref: str | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.items is None) == (self.items_ref is None):
            raise PermanentError("a callable's result has exactly one of 'items' and 'items_ref'")
        if not isinstance(self.items, _ITEMS):
            raise _misfit("items", self.items, "an iterable")
        if not isinstance(self.items_ref, _TEXT):
            raise _misfit("items_ref", self.items_ref, "a text")
        if not isinstance(self.schema_version, _TEXT):
            raise _misfit("schema_version", self.schema_version, "a text")
        if not isinstance(self.stats, _STATS):
            raise _misfit("stats", self.stats, "a mapping")

    @classmethod
    def of(cls, value: object) -> CallableResult:
        """A result from what a callable returned: a CallableResult, or a mapping with its fields."""
        if isinstance(value, (dict, Mapping)):
            if not value.keys() <= _FIELDS:
                raise PermanentError(f"a callable's result has other keys than {', '.join(sorted(_FIELDS))}")
            return cls(**value)
        if isinstance(value, CallableResult):
            return value
        raise PermanentError(f"a callable returned a {plain_name(value)}; a CallableResult or a mapping is expected")


_FIELDS = frozenset(field.name for field in fields(CallableResult))


def _misfit(name: str, value: object, expected: str) -> PermanentError:
    return PermanentError(f"the '{name}' of a callable's result is a {plain_name(value)}; expected {expected}")
