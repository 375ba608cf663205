"""A pipeline whose names have been found: what it runs, down to the jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from lorchestra.schemas.pipeline import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A job, or a whole pipeline."""

    step_id: str
    """What the step of the pipeline's job is called; runs, results and selections go by it."""
    stage: str
    job_id: str
    pipeline: Pipeline | None = None
    """What stands behind the id, when it is that of a pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    name: str
    entries: tuple[Entry, ...]
    description: str | None = None
    stop_on_failure: bool = True
    path: Path | None = None
    """Its file; None of one that is in no file."""
    is_built_in: bool = False

    @property
    def job_id(self) -> str:
        return f"{PREFIX}{self.name}"

    def leaves(self) -> tuple[Leaf, ...]:
        """Every job that it runs, in order, those of its pipelines too."""
        return tuple(self._leaves((), (), ()))

    def _leaves(self, path: tuple[str, ...], stages: tuple[str, ...], pipelines: tuple[str, ...]) -> Iterator[Leaf]:
        for entry in self.entries:
            here, below = (*path, entry.step_id), (*stages, entry.stage)
            if entry.pipeline is None:
                yield Leaf(job_id=entry.job_id, path=here, stages=below, pipelines=pipelines)
            else:
                yield from entry.pipeline._leaves(here, below, (*pipelines, entry.pipeline.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A job, and where it stands."""

    job_id: str
    path: tuple[str, ...]
    """The steps that lead to it, from the outermost pipeline inward."""
    stages: tuple[str, ...]
    """The stage of each of these steps."""
    pipelines: tuple[str, ...]
    """The pipelines that it stands in, the outermost one left out."""

    @property
    def stage(self) -> str:
        """As it is shown: of nested stages of the same name, one is enough."""
        return "/".join(dict.fromkeys(self.stages))

    def is_left_out(self, leave_out: Collection[str]) -> bool:
        """Whether it, or something that it stands in, is among the names of `Envelope.leave_out`."""
        return any(".".join(self.path[:length]) in leave_out for length in range(1, len(self.path) + 1))
