"""What a callable gives back. It is success only; failures are exceptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lorchestra.errors import PermanentError

_KEYS = frozenset({"schema_version", "items", "items_ref", "stats"})


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

    @classmethod
    def of(cls, value: object) -> CallableResult:
        """A result from what a callable returned: a CallableResult, or a mapping with its fields."""
        if isinstance(value, CallableResult):
            return value
        if isinstance(value, Mapping):
            if not _KEYS.issuperset(value):
                raise PermanentError(f"a callable's result has other keys than {', '.join(sorted(_KEYS))}")
            return cls(**value)
        raise PermanentError(f"a callable returned a {type(value).__name__}; a CallableResult or a mapping is expected")
