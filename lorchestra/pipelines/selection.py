"""Which jobs of a pipeline a request asks for, and so which it leaves out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lorchestra.errors import EnvelopeError, Problem, did_you_mean
from lorchestra.pipelines.tree import Leaf, Pipeline
from lorchestra.schemas.pipeline import is_pipeline, name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Names of jobs, stages or pipelines: `only` these, beginning with `start`, without those of `skip`."""

    only: Sequence[str] = ()
    start: str | None = None
    skip: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.only or self.start is not None or self.skip)


def leave_out(pipeline: Pipeline, selection: Selection) -> tuple[str, ...]:
    """What `Envelope.leave_out` says for it. Raises EnvelopeError for unknown names, and when no job is left."""
    leaves = pipeline.leaves()
    _require_known(pipeline, leaves, selection)
    kept = [leaf.path for leaf in leaves]
    if selection.only:
        kept = [leaf.path for leaf in leaves if any(_is_called(leaf, name) for name in selection.only)]
    if (start := selection.start) is not None:
        first = next(index for index, leaf in enumerate(leaves) if _is_called(leaf, start))
        from_start = {leaf.path for leaf in leaves[first:]}
        kept = [path for path in kept if path in from_start]
    skipped = {leaf.path for leaf in leaves if any(_is_called(leaf, name) for name in selection.skip)}
    kept = [path for path in kept if path not in skipped]
    if not kept:
        raise EnvelopeError(
            Problem(found=f"of '{pipeline.name}' no job is left", expected="expected a selection with one at least")
        )
    return tuple(_left_out(pipeline, (), frozenset(kept)))


def _left_out(pipeline: Pipeline, above: tuple[str, ...], kept: Collection[tuple[str, ...]]) -> Iterator[str]:
    for entry in pipeline.entries:
        path = (*above, entry.step_id)
        inside = [leaf for leaf in kept if leaf[: len(path)] == path]
        if not inside:
            yield ".".join(path)
        elif entry.pipeline is not None:
            yield from _left_out(entry.pipeline, path, kept)


def _is_called(leaf: Leaf, name: str) -> bool:
    if name_of(name) in leaf.pipelines:
        return True
    return not is_pipeline(name) and (name == leaf.job_id or name in leaf.stages)


def _require_known(pipeline: Pipeline, leaves: Sequence[Leaf], selection: Selection) -> None:
    known = dict.fromkeys(name for leaf in leaves for name in (*leaf.pipelines, *leaf.stages, leaf.job_id))
    asked = (("only", selection.only), ("from", (selection.start,)), ("skip", selection.skip))
    problems = [
        Problem(
            found=f"{option}: '{name}' is no job, stage or pipeline of '{pipeline.name}'",
            expected=f"known: {', '.join(known)}",
            hint=did_you_mean(name_of(name), known),
        )
        for option, names in asked
        for name in names
        if name is not None and not any(_is_called(leaf, name) for leaf in leaves)
    ]
    if problems:
        raise EnvelopeError(*problems)
