"""The base of every value: frozen, strict about keys."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    # Built when first used: a command pays only for the models it needs.
    # What pydantic says of a mistake would quote the value.
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, defer_build=True, hide_input_in_errors=True
    )
