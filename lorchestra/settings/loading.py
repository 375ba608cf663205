"""Reading the settings of a project: `lorchestra.yaml`, one of its profiles, and what the environment overrides.

The nearest wins: an environment variable `LORCHESTRA_<SECTION>__<KEY>`, the profile, the rest of the file, the default.
Settings are read once, at the edge of the process. What was found is never quoted in an error: it may be a secret in
the wrong place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from lorchestra import errors
from lorchestra.definitions import validation, yaml_source
from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import ConfigurationError, JobValidationError, Location, Problem, did_you_mean
from lorchestra.settings import override as settings_override
from lorchestra.settings.connections import models
from lorchestra.settings.model import EffectiveSections, Settings, SettingsFile
from lorchestra.settings.override import Override

__all__ = ["FILE_NAME", "Settings", "find", "load"]

FILE_NAME = "lorchestra.yaml"

_MISSPELT = ("lorchestra.yml", ".lorchestra.yaml", ".lorchestra.yml")
_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")


def load(*, start: Path, file: Path | None = None, profile: str | None = None, environ: Mapping[str, str]) -> Settings:
    """The settings of the project that `start` lies in, or of a given file; without a file, the defaults.

    Raises ConfigurationError with every mistake that can be found.
    """
    path = find(start) if file is None else start / file
    root = (start if path is None else path.parent).absolute()
    source = yaml_source.parse("{}", file=FILE_NAME) if path is None else _read(path)
    written = _validated(source)
    chosen = _choose(written, asked=profile, environ=environ, where=str(path or "the defaults"))
    overrides = settings_override.read(
        EffectiveSections, environ, secrets=_secret_variables(source.value), named=_connections(source.value, chosen)
    )
    sections = _effective(source, chosen, overrides)
    values = {name: getattr(sections, name) for name in EffectiveSections.model_fields}
    return Settings(root=root, profile=chosen, **values)


def find(start: Path) -> Path | None:
    """The settings file of the nearest folder, from `start` upward, that has one."""
    start = start.absolute()
    for folder in (start, *start.parents):
        path = folder / FILE_NAME
        # Asked this way, a folder that may not be looked into has none.
        if os.path.lexists(path):
            return path
        for name in _MISSPELT:
            if os.path.lexists(folder / name):
                raise ConfigurationError(f"{folder / name}: settings are read from '{FILE_NAME}'; rename the file")
    return None


def _read(path: Path) -> Source:
    try:
        return yaml_source.read(path)
    except yaml_source.EmptyFile:
        # One that says nothing marks the folder of a project, and leaves everything to the defaults.
        return yaml_source.parse("{}", file=str(path))
    except JobValidationError as error:
        problems = [_unquoted(problem) for problem in error.problems]
    raise _refusal(problems)


def _validated(source: Source) -> SettingsFile:
    try:
        return validation.validate(SettingsFile, source, show_values=False)
    except JobValidationError as error:
        problems = error.problems
    raise _refusal(problems)


def _choose(written: SettingsFile, *, asked: str | None, environ: Mapping[str, str], where: str) -> str | None:
    """The profile to use: the one asked for, the environment's, the file's."""
    chosen = asked or environ.get(settings_override.PROFILE) or written.profile
    if chosen is None or chosen in written.profiles:
        return chosen
    known = ", ".join(sorted(written.profiles))
    words = [
        f"no profile '{chosen}' in {where}",
        f"known: {known}" if known else "it has no profiles",
        did_you_mean(chosen, written.profiles),
    ]
    raise ConfigurationError("; ".join(word for word in words if word))


def _secret_variables(value: Any) -> frozenset[str]:
    """The environment variables that references in the file name: one with our prefix is no override."""
    if isinstance(value, str):
        return frozenset({value.removeprefix("env:")}) if value.startswith("env:") else frozenset()
    members: Iterable[Any] = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return frozenset().union(*map(_secret_variables, members))


def _connections(whole: Any, profile: str | None) -> Iterator[tuple[errors.Path, type[BaseModel]]]:
    """The connections that there are, and the model of each."""
    changes = whole["profiles"][profile].get("connections", {}) if profile is not None else {}
    for name, connection in _merged(whole.get("connections", {}), changes).items():
        # One without a connector is refused when the settings are put together.
        model = models().get(connection.get("connector"))
        if model is not None:
            yield ("connections", name), model


def _effective(source: Source, profile: str | None, overrides: Sequence[Override]) -> EffectiveSections:
    layers: list[Mapping[str, Any]] = []
    whole: Any = source.value
    layers.append({name: value for name, value in whole.items() if name not in ("profile", "profiles")})
    if profile is not None:
        layers.append(whole["profiles"][profile])
    layers += [_nested(override) for override in overrides]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merged(merged, layer)
    try:
        return EffectiveSections.model_validate_json(orjson.dumps(merged), strict=True)
    except ValidationError as error:
        problems = validation.problems_of(error, EffectiveSections, replace(source, value=merged), show_values=False)
    raise ConfigurationError("\n".join(_placed(problem, source, profile, overrides) for problem in problems))


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and not _is_another(name, before, value):
            merged[name] = _merged(before, value)
        else:
            merged[name] = value
    return merged


def _is_another(name: str, before: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Whether it takes the place of what is there, whose keys mean nothing to it: other credentials, or another
    connector.
    """
    tag = "kind" if name == "credentials" else "connector"
    return tag in before and tag in value and before[tag] != value[tag]


def _nested(override: Override) -> dict[str, Any]:
    value: Any = override.value
    for part in reversed(override.path):
        value = {part: value}
    return dict(value)


def _placed(problem: Problem, source: Source, profile: str | None, overrides: Sequence[Override]) -> str:
    """The problem at the variable that brought it, else where the profile or the file says something about it."""
    path = problem.path
    location = _locate(source, profile, path)
    if location is None or any(override.path == path[: len(override.path)] for override in overrides):
        return f"environment variable {settings_override.variable_of(path)}: {problem.found}; {problem.expected}"
    return str(problem.at(location))


def _locate(source: Source, profile: str | None, path: errors.Path) -> Location | None:
    for length in range(len(path), 0, -1):
        for above in (("profiles", profile), ()) if profile is not None else ((),):
            place = (*above, *path[:length])
            if _stands(source.value, place):
                return source.locate(place)
    return None if path else source.locate(())


def _stands(value: Any, path: errors.Path) -> bool:
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def _unquoted(problem: Problem) -> Problem:
    """What is wrong with the YAML, without the text that was found there."""
    hint = None if problem.hint is None or _QUOTED.search(problem.hint) else problem.hint
    return replace(problem, found=_QUOTED.sub("'...'", problem.found), hint=hint)


def _refusal(problems: Iterable[Problem]) -> ConfigurationError:
    return ConfigurationError("\n".join(str(problem) for problem in problems))
