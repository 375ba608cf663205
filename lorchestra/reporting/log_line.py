"""An event and its fields, on their way to the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Field: TypeAlias = str | int | float | bool | None


class Line:
    """An event of ours, as the message of a log record. `error` is shown as its type and place."""

    __slots__ = ("error", "event", "fields")

    def __init__(self, event: str, fields: Mapping[str, Field], error: BaseException | None = None) -> None:
        self.event = event
        self.fields = fields
        self.error = error

    def __str__(self) -> str:
        return " ".join([self.event, *(f"{name}={value}" for name, value in self.fields.items())])
