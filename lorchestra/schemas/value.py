"""The base of every value: frozen, strict about keys."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
