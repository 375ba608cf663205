"""The base of every value: frozen, strict about keys."""

import functools
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

_set = object.__setattr__


@functools.cache
def _fields_of(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


class Value(BaseModel):
    # Built when first used: a command pays only for the models it needs.
    # What pydantic says of a mistake would quote the value.
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, defer_build=True, hide_input_in_errors=True
    )

    @classmethod
    def trusted(cls, fields: dict[str, Any]) -> Self:
        """A value made of parts that are valid and frozen already: all its fields, in a dict that becomes its own.

        Nothing is checked or copied: for a recorded step the checks would cost more than all the rest.
        """
        made = object.__new__(cls)
        _set(made, "__dict__", fields)
        # That of all its fields, shared: a copy of the value copies it, and nothing else would change it.
        _set(made, "__pydantic_fields_set__", _fields_of(cls))
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made
