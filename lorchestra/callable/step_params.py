"""The params of a step that are for its callable, as the type the callable says they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from lorchestra.definitions import model_place, validation_words
from lorchestra.definitions.validation_words import Found
from lorchestra.errors import DefinitionError, Path, Problem
from lorchestra.json_value import canonical_bytes
from lorchestra.schemas.value import Value

P = TypeVar("P", bound=Value)


def parse(model: type[P], params: Mapping[str, Any]) -> P:
    """Raises DefinitionError with every mistake. What was found is not quoted: it may come from a payload."""
    try:
        # As JSON and strict, so that params mean what they mean in a definition.
        return model.model_validate_json(canonical_bytes(params), strict=True)
    except ValidationError as error:
        problems = [_problem(one, model) for one in error.errors(include_url=False)]
    raise DefinitionError(*problems)


def refusal(param: str, found: str, expected: str, hint: str | None = None) -> DefinitionError:
    return DefinitionError(Problem(found=found, expected=expected, hint=hint, path=("params", param)))


def _problem(error: Mapping[str, Any], model: type[Value]) -> Problem:
    kind, location = error["type"], error["loc"]
    path: Path = ("params", *location)
    place = model_place.find(model, location)
    match kind:
        case "extra_forbidden":
            holder = model_place.find(model, location[:-1])
            found, expected, hint = validation_words.unknown_key(str(location[-1]), holder.model)
            return Problem(found=found, expected=expected, hint=hint, path=path[:-1])
        case "missing":
            found, expected, hint = validation_words.missing_key(str(location[-1]), place)
            return Problem(found=found, expected=expected, hint=hint, path=path[:-1])
        case "value_error":
            # The sentence of a validator of our own: what it found; what it expected.
            found, _, expected = str(error["ctx"]["error"]).partition("; ")
            return Problem(found=found, expected=expected, path=path)
        case _:
            value = Found(error["input"])
            expected, _ = validation_words.explain(kind, error.get("ctx", {}), error["msg"], value, place)
            return Problem(found=value.words(show_values=False), expected=expected, path=path)
