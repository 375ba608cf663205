"""What a callable gives back. It is success only; failures are exceptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

from lorchestra.code_names import plain_name
from lorchestra.errors import PermanentError

# The usual types come first: an abstract class is slow to ask.
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "schema_version": ((str,), "a text"),
    "items": ((list, GeneratorType, Iterable), "an iterable"),
    "items_ref": ((str,), "a text"),
    "stats": ((dict, Mapping), "a mapping"),
}


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
        for name, (kinds, expected) in _KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kinds):
                raise PermanentError(
                    f"the '{name}' of a callable's result is a {plain_name(value)}; expected {expected}"
                )

    @classmethod
    def of(cls, value: object) -> CallableResult:
        """A result from what a callable returned: a CallableResult, or a mapping with its fields."""
        if isinstance(value, CallableResult):
            return value
        if isinstance(value, (dict, Mapping)):
            if not _KINDS.keys() >= value.keys():
                raise PermanentError(f"a callable's result has other keys than {', '.join(sorted(_KINDS))}")
            return cls(**value)
        raise PermanentError(f"a callable returned a {plain_name(value)}; a CallableResult or a mapping is expected")
