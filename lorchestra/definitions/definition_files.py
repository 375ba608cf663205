"""Which definition files there are, going by their names alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorchestra.errors import DefinitionError, Location, Problem

SUFFIXES = (".yaml", ".yml")
PIPELINES = "pipeline"
"""The folder below that of the job definitions that holds pipelines."""
NAME = re.compile(r"(?P<job_id>[a-z][a-z0-9_]{0,127})(?:@(?P<version>(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)))?")
"""The grammar of job ids and versions, as the models have it; those would take too long to import here."""


@dataclass(frozen=True, slots=True)
class Family:
    """The files of one job in one folder. More than one for the same thing is a mistake to be reported."""

    job_id: str
    current: list[Path] = field(default_factory=list)
    older: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    def paths(self) -> Iterator[Path]:
        yield from self.current
        for paths in self.older.values():
            yield from paths

    def is_below(self, folder: Path) -> bool:
        return all(path.is_relative_to(folder) for path in self.paths())

    @property
    def is_ambiguous(self) -> bool:
        return len(self.current) > 1 or any(len(paths) > 1 for paths in self.older.values())

    def problems(self) -> Iterator[Problem]:
        if len(self.current) > 1:
            yield claimed_twice(self.job_id, self.current)
        for version, paths in self.older.items():
            if len(paths) > 1:
                yield claimed_twice(f"{self.job_id}@{version}", paths)
        if not self.current:
            path = next(self.paths())
            yield Problem(
                found=f"'{self.job_id}' has an older version and no current one",
                expected=f"expected {self.job_id}.yaml beside it",
                location=Location(str(path), 1, 1),
            )


@dataclass(frozen=True, slots=True)
class Folder:
    families: dict[str, Family] = field(default_factory=dict)
    misnamed: dict[str, Path] = field(default_factory=dict)
    """Files whose names say no id, by what stands there instead."""

    def problems(self) -> Iterator[Problem]:
        for path in self.misnamed.values():
            yield misnamed(path)
        for family in self.families.values():
            yield from family.problems()


def scan(root: Path) -> Folder:
    """The job files below a folder, each once, however many links lead to it. Nothing is opened.

    Those of its folder `pipeline` hold pipelines and are passed over.
    """
    folder = Folder()
    for path in sorted(yaml_files(root, without=PIPELINES)):
        name = NAME.fullmatch(path.stem)
        if name is None:
            folder.misnamed.setdefault(path.stem, path)
            continue
        family = folder.families.setdefault(name["job_id"], Family(name["job_id"]))
        if name["version"] is None:
            family.current.append(path)
        else:
            family.older[name["version"]] = (*family.older.get(name["version"], ()), path)
    return folder


def claimed_twice(name: str, paths: Sequence[Path]) -> Problem:
    return Problem(
        found=f"'{name}' is in {len(paths)} files: {', '.join(map(str, paths))}",
        expected="expected one",
        hint="rename or remove the others",
        location=Location(str(paths[-1]), 1, 1),
    )


def misnamed(path: Path) -> Problem:
    stem, _, version = path.stem.partition("@")
    slug = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    near = f"{slug}@{version}" if version else slug
    return Problem(
        found=f"the file name '{path.name}' says no job id",
        expected=(
            "expected <job_id>.yaml or <job_id>@<major>.<minor>.yaml, the id of small letters, digits and '_',"
            " beginning with a letter"
        ),
        hint=f"did you mean '{near}{path.suffix}'?" if NAME.fullmatch(near) else None,
        location=Location(str(path), 1, 1),
    )


def yaml_files(root: Path, *, without: str | None = None) -> Iterator[Path]:
    """The YAML files below a folder. A folder right below it that is called `without` is not looked into."""
    seen: set[tuple[int, int]] = set()
    # Folders reached by a link come after all others, so that a file is known by its own path where it has one.
    waiting, linked = [str(root)], list[str]()
    while waiting or linked:
        folder = waiting.pop() if waiting else linked.pop()
        status = _status(folder)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(folder):
            if entry.name.startswith(".") or (entry.name == without and folder == str(root)):
                continue
            if _is_folder(entry):
                (linked if entry.is_symlink() else waiting).append(entry.path)
            elif entry.name.endswith(SUFFIXES):
                yield Path(entry.path)


def _status(folder: str) -> os.stat_result:
    try:
        return Path(folder).stat()
    except (OSError, ValueError) as error:
        raise _unlisted(folder, error) from error


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (OSError, ValueError) as error:
        raise _unlisted(folder, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads round in a circle: no folder. If it is named like a definition, reading it will say so.
        return False


def _unlisted(folder: str, error: OSError | ValueError) -> DefinitionError:
    if isinstance(error, FileNotFoundError):
        found = f"there is no folder '{folder}'"
    elif isinstance(error, NotADirectoryError):
        found = f"'{folder}' is no folder"
    else:
        found = f"the folder '{folder}' cannot be listed ({getattr(error, 'strerror', None) or 'it names none'})"
    return DefinitionError(Problem(found=found, expected="expected the folder of job definitions"))
