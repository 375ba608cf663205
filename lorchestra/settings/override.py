"""Settings that the environment overrides: `LORCHESTRA_<SECTION>__<KEY>=value`, two underscores a level."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from lorchestra.definitions import yaml_scalar
from lorchestra.definitions.model_place import is_late
from lorchestra.errors import ConfigurationError, Path, did_you_mean
from lorchestra.json_value import JSONValue

PREFIX = "LORCHESTRA_"
PROFILE = "LORCHESTRA_PROFILE"


@dataclass(frozen=True, slots=True)
class Override:
    variable: str
    path: Path
    value: JSONValue


def read(
    model: type[BaseModel],
    environ: Mapping[str, str],
    *,
    secrets: Collection[str] = (),
    named: Iterable[tuple[Path, type[BaseModel]]] = (),
) -> tuple[Override, ...]:
    """What the environment says about the model, and about the models below the places `named`. `secrets` are variables
    that belong to references.

    Raises ConfigurationError for every variable with our prefix that means nothing, and every value that cannot be
    read, without quoting it.
    """
    leaves = [*_leaves(model), *(leaf for above, each in named for leaf in _leaves(each, above))]
    known = {variable_of(path): (path, is_text) for path, is_text in leaves}
    overrides: list[Override] = []
    problems: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == PROFILE or variable in secrets:
            continue
        if variable not in known:
            hint = did_you_mean(variable, [*known, PROFILE])
            problems.append(f"environment variable {_shown(variable)}: no setting has this name" + _tail(hint))
            continue
        path, is_text = known[variable]
        try:
            overrides.append(Override(variable, path, _value(environ[variable], is_text=is_text)))
        except ValueError as error:
            problems.append(f"environment variable {variable}: {error}")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return tuple(overrides)


def variable_of(path: Path) -> str:
    # The names of connections may hold what those of variables may not.
    return PREFIX + "__".join(str(part).upper().replace("-", "_") for part in path)


def _value(text: str, *, is_text: bool) -> JSONValue:
    """A scalar as YAML reads it; where only text can stand, `2024` and `true` are text too."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("found what is not UTF-8; expected text")
    if text and is_text:
        return text
    try:
        return yaml_scalar.resolve(text)
    except yaml_scalar.NotJSON as error:
        raise ValueError(f"found a number that cannot be used; {error.expected}") from None


def _leaves(model: type[BaseModel], above: Path = ()) -> Iterator[tuple[Path, bool]]:
    for name, field in model.model_fields.items():
        if any(is_late(one) for one in get_args(field.annotation)):
            # What there is below it depends on the names that the file has there.
            continue
        members = _members(field.annotation)
        inner = [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]
        if inner:
            for each in inner:
                yield from _leaves(each, (*above, name))
        else:
            yield (*above, name), not {int, float, bool} & set(members)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types in a union or an annotated type, all the way down."""
    arguments = [one for one in get_args(annotation) if isinstance(one, type) or get_args(one)]
    return tuple(each for one in arguments for each in _members(one)) if arguments else (annotation,)


def _shown(variable: str) -> str:
    return variable.encode("ascii", "backslashreplace").decode("ascii")[:80]


def _tail(hint: str | None) -> str:
    return f"; {hint}" if hint else ""
