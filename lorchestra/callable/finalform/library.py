"""The measures and bindings of a project, checked as a whole when definitions are validated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lorchestra.callable.finalform import files
from lorchestra.callable.finalform.measure import Measure
from lorchestra.callable.finalform.params import Ref
from lorchestra.definitions import yaml_source
from lorchestra.errors import JobValidationError, Problem, did_you_mean


class MeasureLibrary:
    def __init__(self, content: Path, *, root: Path | None = None, built_in: Path | None = None) -> None:
        """`root` is where the places of mistakes are told from. Bindings may name the measures of the content
        `built_in`, which is not checked itself.
        """
        self._content = content
        self._root = root or content
        self._built_in = built_in

    def problems(self) -> tuple[Problem, ...]:
        """Every mistake in every file."""
        found: list[Problem] = []
        measures = {} if self._built_in is None else self._measures(self._built_in, [])
        measures |= self._measures(self._content, found)
        # Of a measure with mistakes they are told; to say that there is none would be wrong.
        named = measures.keys() | {str(_ref_of(file)) for file in _files(self._content, files.INSTRUMENTS)}
        for file in _files(self._content, files.BINDINGS):
            found += self._problems_of_binding(file, measures, named)
        return tuple(found)

    def _measures(self, content: Path, found: list[Problem]) -> dict[str, Measure]:
        measures: dict[str, Measure] = {}
        for file in _files(content, files.INSTRUMENTS):
            ref = _ref_of(file)
            try:
                measures[str(ref)] = files.read_measure(file.read_bytes(), file=self._name(file), ref=ref)
            except JobValidationError as error:
                found += error.problems
        return measures

    def _problems_of_binding(
        self, file: Path, measures: Mapping[str, Measure], named: Iterable[str]
    ) -> Iterator[Problem]:
        name, content = self._name(file), file.read_bytes()
        try:
            binding = files.read_binding(content, measures, file=name, ref=_ref_of(file))
        except JobValidationError as error:
            yield from error.problems
            return
        known = sorted(named)
        source = yaml_source.parse(content, file=name)
        for index, bound in enumerate(binding.measures):
            if bound.measure not in known:
                yield Problem(
                    found=f"there is no measure '{bound.measure}'",
                    expected=f"known: {', '.join(known)}",
                    hint=did_you_mean(bound.measure, known),
                    location=source.locate(("measures", index, "measure")),
                )

    def _name(self, file: Path) -> str:
        return str(file.relative_to(self._root)) if file.is_relative_to(self._root) else str(file)


def _files(content: Path, folder: str) -> list[Path]:
    return sorted((content / folder).glob("*/*.json"))


def _ref_of(file: Path) -> Ref:
    return Ref(file.parent.name, file.stem)
