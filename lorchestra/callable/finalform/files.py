"""The files of measures and bindings: where they are, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from lorchestra.callable.context import Resource
from lorchestra.callable.finalform.binding import Binding
from lorchestra.callable.finalform.measure import Measure
from lorchestra.callable.finalform.measure_checks import problems_of_binding, problems_of_measure
from lorchestra.callable.finalform.params import FormParams, Ref
from lorchestra.definitions import validation, yaml_source
from lorchestra.errors import ConfigurationError, JobValidationError, Problem

INSTRUMENTS = "measures/instruments"
BINDINGS = "measures/bindings"

F = TypeVar("F", Measure, Binding)


def measure_resources(refs: Iterable[Ref]) -> dict[str, str]:
    """The measures as resources of a callable: name, and path below the content."""
    return {f"measure {ref}": _path(INSTRUMENTS, ref) for ref in refs}


def form_resources(params: FormParams) -> dict[str, str]:
    """A binding and its measures as resources."""
    ref = params.binding_ref
    return {f"binding {ref}": _path(BINDINGS, ref), **measure_resources(params.measure_refs)}


def load_measures(refs: Iterable[Ref], resources: Mapping[str, Resource]) -> tuple[Measure, ...]:
    """Raises ConfigurationError with every mistake in a file."""
    return tuple(
        _loaded(read_measure, resources, f"measure {ref}", file=_path(INSTRUMENTS, ref), ref=ref) for ref in refs
    )


def load_binding(ref: Ref, measures: Iterable[Measure], resources: Mapping[str, Resource]) -> Binding:
    """A binding that binds all of these measures. Raises ConfigurationError with every mistake in the file."""
    given = {measure.name: measure for measure in measures}
    file = _path(BINDINGS, ref)

    def read(content: bytes, *, file: str, ref: Ref) -> Binding:
        return read_binding(content, given, file=file, ref=ref)

    binding = _loaded(read, resources, f"binding {ref}", file=file, ref=ref)
    bound = [one.measure for one in binding.measures]
    for name in given:
        if name not in bound:
            raise ConfigurationError(f"{file}: it does not bind '{name}'; it binds {', '.join(bound)}")
    return binding


def read_measure(content: bytes, *, file: str, ref: Ref) -> Measure:
    """The measure that stands in the file of this name. Raises JobValidationError with every mistake."""
    return _read(Measure, content, file, ref, problems_of_measure)


def read_binding(content: bytes, measures: Mapping[str, Measure], *, file: str, ref: Ref) -> Binding:
    """The binding that stands in the file of this name. Raises JobValidationError with every mistake.

    Of the measures that it binds, those that are given here are looked at.
    """
    return _read(Binding, content, file, ref, lambda binding: problems_of_binding(binding, measures))


def _read(model: type[F], content: bytes, file: str, ref: Ref, check: Callable[[F], Iterable[Problem]]) -> F:
    # JSON is YAML too, and this reader knows the place of every value.
    source = yaml_source.parse(content, file=file)
    value: F = validation.validate(model, source)
    problems: list[Problem] = [*_problems_of_name(value, ref), *check(value)]
    if problems:
        raise yaml_source.refusal(problem.at(source.locate(problem.path)) for problem in problems)
    return value


def _problems_of_name(value: Measure | Binding, ref: Ref) -> Iterator[Problem]:
    if value.name != str(ref):
        yield Problem(
            found=f"the file calls itself '{value.name}'",
            expected=f"expected '{ref}', as its place says",
            path=("version",),
        )


def _loaded(read: Callable[..., F], resources: Mapping[str, Resource], name: str, *, file: str, ref: Ref) -> F:
    if name not in resources:
        raise ConfigurationError("a measure or binding is not among the resources; a context names them all")
    try:
        return read(resources[name].content, file=file, ref=ref)
    except JobValidationError as error:
        # Not a mistake in the job that runs, but in the content that it runs with.
        raise ConfigurationError(str(error)) from None


def _path(folder: str, ref: Ref) -> str:
    return f"{folder}/{ref.id}/{ref.version}.json"
