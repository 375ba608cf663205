"""The base of every value: frozen, strict about keys."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

_set = object.__setattr__


class Value(BaseModel):
    # Built when first used: a command pays only for the models it needs.
    # What pydantic says of a mistake would quote the value.
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, defer_build=True, hide_input_in_errors=True
    )

    @classmethod
    def trusted(cls, **fields: Any) -> Self:
        """A value made of parts that are valid and frozen already. It must be given all fields.

        Nothing is checked or copied: for a recorded step the checks would cost more than all the rest.
        """
        made = object.__new__(cls)
        _set(made, "__dict__", fields)
        _set(made, "__pydantic_fields_set__", set(fields))
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made
