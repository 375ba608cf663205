"""Which pipelines there are, in the project and built in, and which names of jobs; going by the names of files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorchestra.definitions import definition_files, yaml_source
from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import JobValidationError, Location, PipelineNotFound, Problem
from lorchestra.registry import JobRegistry
from lorchestra.schemas.pipeline import PREFIX, is_pipeline, name_of

_NAME = re.compile(r"(pipeline\.)?[a-z][a-z0-9_]{0,127}")


def is_entry(text: str) -> bool:
    """Whether the text can be the name of a job or of a pipeline."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A pipeline that is to be used whatever the folders hold: one of a file elsewhere, or of no file."""

    name: str
    source: Source
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    files: dict[str, list[Path]] = field(default_factory=dict)
    misnamed: list[Path] = field(default_factory=list)

    @classmethod
    def scan(cls, folders: Iterable[Path]) -> Layer:
        """The pipelines of these folders. One that is not there has none."""
        layer = cls()
        for folder in folders:
            if os.path.lexists(folder):
                for path in sorted(definition_files.yaml_files(folder)):
                    layer._add(path)
        return layer

    def _add(self, path: Path) -> None:
        if _NAME.fullmatch(path.stem):
            self.files.setdefault(name_of(path.stem), []).append(path)
        else:
            self.misnamed.append(path)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the names of its files."""
        for path in self.misnamed:
            yield Problem(
                found=f"the file name '{path.name}' says no pipeline",
                expected="expected <pipeline>.yaml, the name of small letters, digits and '_', beginning with a letter",
                location=Location(str(path), 1, 1),
            )
        for name, paths in self.files.items():
            if len(paths) > 1:
                yield definition_files.claimed_twice(name, paths)


class Look:
    """One look at what there is. The project's own wins by name; each file is read once."""

    def __init__(
        self, jobs: JobRegistry, *, folders: Sequence[Path], built_in: Sequence[Path], given: Given | None
    ) -> None:
        self.own = Layer.scan(folders)
        self._built_in = Layer.scan(built_in)
        self._given = given
        self._own_jobs = jobs.own_job_ids()
        self._built_in_jobs = jobs.built_in.job_ids() if jobs.built_in else frozenset()
        self._sources: dict[str, Source] = {}

    @property
    def own_names(self) -> frozenset[str]:
        return frozenset(self.own.files) | ({self._given.name} if self._given else set())

    @property
    def names(self) -> frozenset[str]:
        return self.own_names | self._built_in.files.keys()

    @property
    def entry_names(self) -> tuple[str, ...]:
        """Everything that may be listed in a stage."""
        return tuple(sorted(self._own_jobs | self._built_in_jobs | self.names))

    def job_id_of(self, entry: str) -> str | None:
        """The id of the job that an entry of a stage means, one of a pipeline with its prefix; None for none.

        A name alone is that of a job, when there is one. What the project has goes before what is built in.
        """
        name = name_of(entry)
        if is_pipeline(entry):
            return entry if name in self.names else None
        if name in self._own_jobs:
            return name
        if name in self.own_names:
            return f"{PREFIX}{name}"
        if name in self._built_in_jobs:
            return name
        return f"{PREFIX}{name}" if name in self.names else None

    def is_built_in(self, name: str) -> bool:
        return name not in self.own_names

    def is_value(self, name: str) -> bool:
        """Whether it was handed over, and is in no file."""
        return self._given is not None and name == self._given.name and self._given.path is None

    def path_of(self, name: str) -> Path | None:
        """Raises PipelineNotFound, or JobValidationError when several files say that they are it."""
        if self._given is not None and name == self._given.name:
            return self._given.path
        paths = self.own.files.get(name) or self._built_in.files.get(name)
        if paths is None:
            raise PipelineNotFound(name, known=self.names, is_job=name in self._own_jobs | self._built_in_jobs)
        if len(paths) > 1:
            raise JobValidationError(definition_files.claimed_twice(name, paths))
        return paths[0]

    def source(self, name: str) -> Source:
        """Raises like `path_of`, and JobValidationError for what cannot be read."""
        if name not in self._sources:
            path = self.path_of(name)
            if self._given is not None and name == self._given.name:
                self._sources[name] = self._given.source
            else:
                assert path is not None, "only a pipeline that was given is in no file"
                self._sources[name] = yaml_source.read(path)
        return self._sources[name]
