"""Finds definitions by id and version, and loads them.

`<job_id>.yaml`, anywhere below a definitions folder, is the current version of a job; `<job_id>@<version>.yaml`
keeps an older one. Hidden files and folders are passed over. Folders are looked through anew for each question, so
an answer is never older than the files; listing ids reads names only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lorchestra.definitions import definition_files, yaml_source
from lorchestra.definitions.definition_files import Family, Folder
from lorchestra.definitions.yaml_scalar import quoted
from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import JobNotFoundError, JobValidationError, Problem

if TYPE_CHECKING:  # pydantic takes longer to import than a hundred definitions take to list
    from pydantic import BaseModel

    from lorchestra.schemas import JobDef

    M = TypeVar("M", bound=BaseModel)

__all__ = ["JobNotFoundError", "JobRegistry", "JobSummary", "JobValidationError"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A job as a list shows it. Of a file that cannot be read there are only the id, the path and the problems."""

    job_id: str
    path: Path
    version: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    steps: int = 0
    problems: tuple[Problem, ...] = ()
    is_built_in: bool = False

    @property
    def problem(self) -> str | None:
        """The first of the problems, in a sentence."""
        return str(self.problems[0]) if self.problems else None

    def to_dict(self) -> dict[str, object]:
        return {
            "job_id": self.job_id,
            "version": self.version,
            "description": self.description,
            "tags": list(self.tags),
            "steps": self.steps,
            "file": str(self.path),
            "built_in": self.is_built_in,
            "problems": [str(problem) for problem in self.problems],
        }


class JobRegistry:
    """The definitions below `definitions_dir`, then those below each of `fallbacks`; an earlier folder wins by id.

    Those below `built_in` come with lorchestra: they are found by id after all others, and are not listed or checked
    among them. Every method raises DefinitionError when one of the folders is missing or cannot be listed; what is
    built in is found all the same.
    """

    def __init__(self, definitions_dir: Path | str, *fallbacks: Path | str, built_in: Path | None = None) -> None:
        self.definitions_dir = Path(definitions_dir)
        self._roots = (self.definitions_dir, *map(Path, fallbacks))
        self.built_in = None if built_in is None else JobRegistry(built_in)

    def list_jobs(self) -> tuple[str, ...]:
        """The ids of all jobs that have a current version, sorted."""
        return tuple(sorted(job_id for job_id, family in self._families().items() if family.current))

    def own_job_ids(self) -> frozenset[str]:
        """The ids of the jobs that are not built in, and can be loaded; none where there is no folder for them."""
        return frozenset(job_id for job_id, family in _winners(self._folders_if_any()).items() if family.current)

    def job_ids(self) -> frozenset[str]:
        """The ids of all jobs that can be loaded."""
        return self.own_job_ids() | (self.built_in.job_ids() if self.built_in else frozenset())

    def built_in_ids(self) -> frozenset[str]:
        """The ids of the jobs that are built in, and that no job of the project replaces."""
        return (self.built_in.job_ids() if self.built_in else frozenset()) - self.own_job_ids()

    def is_built_in(self, job_id: str) -> bool:
        """Whether the job is one that came with lorchestra. Raises like `load`."""
        return self.built_in is not None and self._family(job_id).is_below(self.built_in.definitions_dir)

    def load(self, job_id: str, version: str | None = None) -> JobDef:
        """The definition, valid as far as can be known without ctx and payload.

        Raises JobNotFoundError for an unknown id or version, JobValidationError with all mistakes of the file.
        """
        path = self.path_of(job_id, version)
        return _validated_job(yaml_source.read(path), path)

    def path_of(self, job_id: str, version: str | None = None) -> Path:
        """The file of the current version, or of the one asked for. Raises like `load`."""
        family = self._family(job_id)
        if version is None:
            if family.current:
                return family.current[0]
            older = ", ".join(sorted(family.older, key=_order))
            raise JobValidationError(
                Problem(
                    found=f"'{job_id}' has no current version, only older ones ({older})",
                    expected=f"expected {job_id}.yaml beside {next(iter(family.older.values()))[0]}",
                )
            )
        matching = family.older.get(version, ())
        try:
            matching = _claims(family).get(version, ())
        except JobValidationError:
            # A current file that cannot be read says no version; an older one can be loaded all the same.
            if not matching:
                raise
        if not matching:
            known = sorted(_claims(family), key=_order)
            raise JobNotFoundError(job_id, version=version, known=known, where=str(self.definitions_dir))
        if len(matching) > 1:
            raise JobValidationError(definition_files.claimed_twice(f"{job_id}@{version}", matching))
        return matching[0]

    def source_of(self, job_id: str, version: str | None = None) -> Source:
        """The file as values with their places, so that later mistakes can be located. Raises like `load`."""
        return yaml_source.read(self.path_of(job_id, version))

    def versions(self, job_id: str) -> tuple[str, ...]:
        """All versions there are, oldest first. Raises like `load`."""
        return tuple(sorted(_claims(self._family(job_id)), key=_order))

    def summaries(self) -> tuple[JobSummary, ...]:
        """Every job of `list_jobs`, with what a list shows; a broken file does not hide the others."""
        families = self._families().values()
        return tuple(_summary(family) for family in sorted(families, key=lambda one: one.job_id) if family.current)

    def built_in_summaries(self) -> tuple[JobSummary, ...]:
        """Of the jobs that came with lorchestra, and that no job of the project replaces."""
        ids = self.built_in_ids()
        listed = self.built_in.summaries() if self.built_in else ()
        return tuple(replace(one, is_built_in=True) for one in listed if one.job_id in ids)

    def problems(self, job_ids: Iterable[str] | None = None) -> tuple[Problem, ...]:
        """Every mistake in the files of these jobs, in all their versions. Raises JobNotFoundError for an unknown id.

        Without ids: in every file that can be loaded, and in the names of files too.
        """
        folders = self._folders() if job_ids is None else self._folders_if_any()
        families = _winners(folders)
        if job_ids is None:
            chosen = list(families.values())
            found = [problem for folder in folders for problem in folder.problems()]
        else:
            chosen = [families[job_id] if job_id in families else self._family(job_id) for job_id in job_ids]
            found = [problem for family in chosen for problem in family.problems()]
        for family in chosen:
            found += _problems_in(family)
        return tuple(found)

    def _folders(self) -> tuple[Folder, ...]:
        return tuple(definition_files.scan(root) for root in self._roots)

    def _folders_if_any(self) -> tuple[Folder, ...]:
        """A project that has no definitions may do with what is built in."""
        return self._folders() if self.built_in is None or self.definitions_dir.is_dir() else ()

    def _families(self) -> Mapping[str, Family]:
        return _winners(self._folders())

    def _family(self, job_id: str) -> Family:
        folders = self._folders_if_any()
        own = _winners(folders)
        built_in: Mapping[str, Family] = {}
        if job_id not in own:
            for folder in folders:
                if job_id in folder.misnamed:
                    raise JobValidationError(definition_files.misnamed(folder.misnamed[job_id]))
            built_in = self.built_in._families() if self.built_in else built_in
        family = own.get(job_id) or built_in.get(job_id)
        if family is None:
            known = [known_id for known_id, one in (own or self._families()).items() if one.current]
            raise JobNotFoundError(job_id, known=known, near=built_in, where=str(self.definitions_dir))
        if family.is_ambiguous:
            raise JobValidationError(*family.problems())
        return family


def _problems_in(family: Family) -> Iterator[Problem]:
    from lorchestra import compiler  # slow, and listing needs none of it

    for path in family.paths():
        try:
            source = yaml_source.read(path)
            job = _validated_job(source, path)
        except JobValidationError as error:
            yield from error.problems
            continue
        yield from (problem.at(source.locate(problem.path)) for problem in compiler.problems_of(job))
        older = family.older.get(job.version, ())
        if path in family.current and older:
            yield definition_files.claimed_twice(f"{family.job_id}@{job.version}", (path, *older))


def _validated_job(source: Source, path: Path) -> JobDef:
    from lorchestra.schemas import JobDef  # slow, and listing needs none of it

    job_id, _, version = path.stem.partition("@")
    return _validated(JobDef, source, {"job_id": job_id, "version": version} if version else {"job_id": job_id})


def _validated(model: type[M], source: Source, named: Mapping[str, str]) -> M:
    """The source as a model, whose fields say what the name of the file says."""
    from lorchestra.definitions import validation  # slow, and listing needs none of it

    also = []
    for key, expected in named.items():
        value = source.value.get(key) if isinstance(source.value, Mapping) else None
        if isinstance(value, str) and value != expected:
            also.append(
                Problem(
                    found=f"found the {key} {quoted(value)}",
                    expected=f"expected '{expected}', as the file is named",
                    path=(key,),
                    location=source.locate((key,)),
                )
            )
    return validation.validate(model, source, also=also)


def _claims(family: Family) -> dict[str, tuple[Path, ...]]:
    """The files that claim each version. The current one says it inside, the older ones in their names."""
    claims = dict(family.older)
    for path in family.current:
        version = _version_in(yaml_source.read(path))
        if version is not None:
            claims[version] = (path, *claims.get(version, ()))
    return claims


def _winners(folders: tuple[Folder, ...]) -> dict[str, Family]:
    """Each id's files in the first folder that has its current version, or else in the first that has any."""
    winners: dict[str, Family] = {}
    for folder in folders:
        for job_id, family in folder.families.items():
            winner = winners.get(job_id)
            if winner is None or (family.current and not winner.current):
                winners[job_id] = family
    return winners


def _summary(family: Family) -> JobSummary:
    path = family.current[0]
    if family.is_ambiguous:
        return JobSummary(job_id=family.job_id, path=path, problems=tuple(family.problems()))
    try:
        source = yaml_source.read(path)
    except JobValidationError as error:
        return JobSummary(job_id=family.job_id, path=path, problems=error.problems)
    job = source.value if isinstance(source.value, Mapping) else {}
    description, tags, steps = job.get("description"), job.get("tags"), job.get("steps")
    return JobSummary(
        job_id=family.job_id,
        path=path,
        version=_version_in(source),
        description=description if isinstance(description, str) else None,
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        steps=len(steps) if isinstance(steps, list) else 0,
    )


def _version_in(source: Source) -> str | None:
    """The version as written, also where its author forgot the quotes: loading it then says so."""
    value = source.value.get("version") if isinstance(source.value, Mapping) else None
    return value if isinstance(value, str) else source.written(("version",))


def _order(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (0,)
