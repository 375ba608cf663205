"""A source as the model it should be, or every mistake in it at once, each at its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from lorchestra.definitions import model_place, validation_words, yaml_source
from lorchestra.definitions.validation_words import Found
from lorchestra.definitions.yaml_scalar import quoted
from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import Path, Problem
from lorchestra.schemas import JobDef

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], source: Source, *, also: Iterable[Problem] = (), show_values: bool = True) -> M:
    """The source as a model. Raises JobValidationError with every problem, those of `also` among them.

    For a JobDef its references and conditions are parsed too. Without `show_values` no scalar of the source is quoted.
    """
    checks = _job_checks(source) if model is JobDef else ()
    problems = [*also, *checks]
    try:
        # As JSON and strict, so that a file means here what it means to an editor with the JSON Schema.
        value = model.model_validate_json(orjson.dumps(source.value), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        refused = problems_of(error, model, source, show_values=show_values)
        # Of a list of steps as such the model refuses only what the checks have said already, step by step.
        problems += [problem for problem in refused if not (checks and problem.path == ("steps",))]
        # Without the cause: its problems are all here, and its text quotes values.
        raise yaml_source.refusal(problems) from None
    if problems:
        raise yaml_source.refusal(problems)
    return value


def _job_checks(source: Source) -> tuple[Problem, ...]:
    # Loaded here: settings are validated at every start, definitions are not.
    from lorchestra.definitions import job_checks

    return tuple(job_checks.problems_of(source))


def problems_of(
    error: ValidationError, model: type[BaseModel], source: Source, *, show_values: bool = True
) -> tuple[Problem, ...]:
    """What pydantic found wrong with the source, in words and located."""
    merged: dict[tuple[Path, str], Problem] = {}
    for one in error.errors(include_url=False):
        if one["type"] == "too_short" and len(one["input"]) >= one["ctx"]["min_length"]:
            continue  # It counts without the items it refused, and those have problems of their own.
        problem = _problem(one, model, source, show_values=show_values)
        other = merged.get((problem.path, problem.found))
        if other is not None and problem.expected != other.expected:
            # Each member of a union complains for itself.
            wanted = problem.expected.removeprefix("expected ")
            problem = replace(other, expected=f"{other.expected} or {wanted}", hint=None)
        merged[problem.path, problem.found] = problem
    return tuple(merged.values())


def _problem(error: Mapping[str, Any], model: type[BaseModel], source: Source, *, show_values: bool) -> Problem:
    kind, location, context = error["type"], error["loc"], error.get("ctx", {})
    place = model_place.find(model, location)
    match kind:
        case "extra_forbidden":
            holder = model_place.find(model, location[:-1])
            found, expected, hint = validation_words.unknown_key(str(location[-1]), holder.model)
        case "missing":
            found, expected, hint = validation_words.missing_key(str(location[-1]), place)
            return Problem(
                found=found, expected=expected, hint=hint, path=place.path, location=source.locate(place.path[:-1])
            )
        case _ if location[-1:] == ("[key]",):
            place = model_place.find(model, location[:-1])
            found = f"found the key {quoted(str(location[-2]))}"
            expected, hint = validation_words.explain(kind, context, error["msg"], Found(location[-2]), place)
        case "value_error" | "assertion_error":
            # The sentence of a validator of our own: what it found; what it expected.
            found, _, expected = str(context["error"]).partition("; ")
            hint = None
        case _:
            value = Found(_value_at(source.value, place.path, error["input"]), source.written(place.path))
            found = value.words(show_values=show_values)
            expected, hint = validation_words.explain(kind, context, error["msg"], value, place)
            hint = hint if show_values else None
    where = source.locate(place.path, key=kind == "extra_forbidden" or location[-1:] == ("[key]",))
    return Problem(
        found=found, expected=expected or "expected another value", hint=hint, path=place.path, location=where
    )


def _value_at(value: Any, path: Path, otherwise: object) -> object:
    """What stands at the path in the file; a validator may have been given something made from it."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return otherwise
    return value
