"""The base of every value: frozen, strict about keys."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    # Built when first used: a command pays only for the models it needs.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)
