"""The schemas and transforms of a project, checked when its definitions are; transforms on their own examples, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from lorchestra.callable.canonizer.iglu import SchemaAddress
from lorchestra.callable.canonizer.params import RECORD_TIMEOUT_S, TransformAddress
from lorchestra.callable.canonizer.transform import Transform
from lorchestra.callable.canonizer.validation import Failure, Validator
from lorchestra.callable.canonizer.work import Work, WorkPlan
from lorchestra.errors import ConfigurationError, DefinitionError, Location, Problem, pointer

_GIVEN, _EXPECTED = ".in.json", ".out.json"


class TransformLibrary:
    def __init__(self, content: Path, *, root: Path | None = None, built_in: Path | None = None) -> None:
        """`root` is where the places of mistakes are told from. Transforms may name the schemas of the content
        `built_in`, which is not checked itself.
        """
        self._content = content
        self._root = root or content
        self._schemas = {} if built_in is None else dict(_schemas(built_in))
        self._schemas |= dict(_schemas(content))
        self._broken: set[str] = set()

    def problems(self) -> tuple[Problem, ...]:
        """Every mistake in every file."""
        found: list[Problem] = []
        for address, file in _schemas(self._content):
            mistakes = list(self._problems_of_schema(address, file))
            if mistakes:
                # They are told; what names the schema cannot be checked.
                self._broken.add(address)
            found += mistakes
        for file in sorted((self._content / "transforms").glob("*/*/metadata.json")):
            try:
                found += self._problems_of_transform(file.parent)
            except (ConfigurationError, DefinitionError, OSError) as error:
                # One of the operating system names a path of this machine, which is told as the place already.
                said = f"a file is missing ({type(error).__name__})" if isinstance(error, OSError) else str(error)
                found.append(self._problem(file, said, "expected a transform that can be used"))
        return tuple(found)

    def _problems_of_schema(self, address: str, file: Path) -> Iterator[Problem]:
        try:
            self._validator(address)
            about = orjson.loads(file.read_bytes()).get("self", {})
        except ConfigurationError as error:
            yield self._problem(file, str(error), "expected a JSON Schema")
            return
        asked = SchemaAddress.parse(address, param="self")
        said = {name: about.get(name) for name in ("vendor", "name", "version")}
        if said != {"vendor": asked.vendor, "name": asked.name, "version": asked.version}:
            yield self._problem(
                file, "'self' says another vendor, name or version than the path", f"expected {address}"
            )

    def _problems_of_transform(self, folder: Path) -> Iterator[Problem]:
        address = TransformAddress(folder.parent.name, folder.name)
        source = folder / "transform.jsonata"
        transform = Transform(address, source.read_bytes(), (folder / "metadata.json").read_bytes())
        asked = [transform.metadata.schema_in, transform.metadata.schema_out]
        missing = [one for one in asked if one not in self._schemas]
        if missing:
            expected = f"known: {', '.join(sorted(self._schemas))}"
            yield self._problem(folder / "metadata.json", f"there is no schema {' and no '.join(missing)}", expected)
            return
        if self._broken.intersection(asked):
            return
        work = WorkPlan(
            schema_in=asked[0],
            schema_out=asked[1],
            schemas={name: file.read_text() for name, file in self._schemas.items()},
            transform=str(address),
            source=transform.source,
            limit_s=RECORD_TIMEOUT_S,
        ).make()
        for given in sorted((folder / "examples").glob(f"*{_GIVEN}")):
            problem = self._problem_of_example(work, given)
            if problem is not None:
                yield problem

    def _problem_of_example(self, work: Work, given: Path) -> Problem | None:
        wanted = given.with_name(given.name.removesuffix(_GIVEN) + _EXPECTED)
        try:
            asked, expected = orjson.loads(given.read_bytes()), orjson.loads(wanted.read_bytes())
            about, payload = asked["row"], asked["payload"]
        except (orjson.JSONDecodeError, OSError, KeyError, TypeError):
            return self._problem(
                given, "is no example", f"expected row and payload here, and the result in {wanted.name}"
            )
        outcome = work.on(about, payload)
        if isinstance(outcome, Failure):
            where = f" at {outcome.pointer}" if outcome.pointer else ""
            return self._problem(given, f"fails by {outcome.rule} of {outcome.schema}{where}", "expected a result")
        # No result is null there, one is itself, and several are a list.
        found = list(outcome) if isinstance(expected, list) else next(iter(outcome), None)
        place = () if len(outcome) > 1 and not isinstance(expected, list) else _difference(found, expected, ())
        if place is None:
            return None
        return self._problem(wanted, f"is not what the transform gives, at '{pointer(place)}'", "expected its result")

    def _validator(self, address: str) -> Validator:
        contents = {name: file.read_bytes() for name, file in self._schemas.items()}
        return Validator(address, contents.pop(address), contents)

    def _problem(self, file: Path, found: str, expected: str) -> Problem:
        name = str(file.relative_to(self._root)) if file.is_relative_to(self._root) else str(file)
        return Problem(found=found, expected=expected, location=Location(name, 1, 1))


def _schemas(content: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted((content / "schemas" / "iglu").glob("*/*/jsonschema/*-*-*")):
        yield f"iglu:{file.parts[-4]}/{file.parts[-3]}/jsonschema/{file.name}", file


def _difference(found: Any, expected: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    """The first place where two JSON values differ."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping) and found.keys() == expected.keys():
        pairs: Any = ((name, found[name], expected[name]) for name in expected)
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = ((index, one, other) for index, (one, other) in enumerate(zip(found, expected, strict=True)))
    else:
        return None if found == expected and type(found) is type(expected) else path
    places = (_difference(one, other, (*path, name)) for name, one, other in pairs)
    return next((place for place in places if place is not None), None)
