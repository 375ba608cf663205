"""Callables of installed packages: the entry points of one group, and modules by their name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lorchestra.callable import code_hash
from lorchestra.callable.entry import CallableEntry
from lorchestra.errors import BrokenCallable

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from importlib.metadata import EntryPoint

GROUP = "lorchestra.callables"


def entry_points() -> Iterable[EntryPoint]:
    # Slow to import, and not needed where every callable is registered or the project's own.
    from importlib import metadata

    return metadata.entry_points(group=GROUP)


class InstalledPackages:
    """Asks once, when a callable is first looked for here, what is installed."""

    def __init__(self, entry_points: Callable[[], Iterable[EntryPoint]] = entry_points) -> None:
        self._entry_points = entry_points
        self._found: Mapping[str, CallableEntry] | None = None

    def find(self, name: str) -> CallableEntry | None:
        return self._entries().get(name)

    def names(self) -> Iterable[str]:
        return self._entries()

    def _entries(self) -> Mapping[str, CallableEntry]:
        if self._found is None:
            offers: dict[str, dict[tuple[str, str], EntryPoint]] = {}
            for point in self._entry_points():
                offers.setdefault(point.name, {})[_package(point), point.value] = point
            self._found = {name: _entry(name, tuple(points.values())) for name, points in offers.items()}
        return self._found


def module_entry(name: str, place: str, *, origin: str) -> CallableEntry:
    """A callable that is a module which can be imported by name, or something in one (`module:attribute`)."""
    module, _, attribute = place.partition(":")
    path = _source_path(module)
    return CallableEntry(
        name,
        origin=origin,
        find=partial(_import, module, attribute),
        hash_code=partial(_hash, name, module, path),
        home=path,
    )


def _import(module: str, attribute: str) -> object:
    imported = importlib.import_module(module)
    return getattr(imported, attribute) if attribute else imported


def _entry(name: str, points: tuple[EntryPoint, ...]) -> CallableEntry:
    packages = ", ".join(sorted(_package(point) for point in points))
    if len(points) > 1:
        refuse = partial(_refuse, name, packages)
        return CallableEntry(name, origin=f"package {packages}", find=refuse, hash_code=refuse)
    (point,) = points
    # Not `point.module`, which fails on a malformed entry point: that is the trouble of this one callable alone.
    module = point.value.partition(":")[0].partition("[")[0].strip()
    path = _source_path(module)
    return CallableEntry(
        name,
        origin=f"package {packages}",
        find=point.load,
        hash_code=partial(_hash, name, module, path),
        home=path,
    )


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"


def _refuse(name: str, packages: str) -> NoReturn:
    # Which of them comes first depends on the order of sys.path, and that is no choice anyone made.
    raise BrokenCallable(
        name, found=f"is offered more than once ({packages})", expected="one of them, or a module in the project"
    )


def _hash(name: str, module: str, path: Path | None) -> str:
    if path is None:
        raise BrokenCallable(name, found=f"is in module '{module}', which is not found", expected="a Python module")
    return code_hash.of_path(path)


def _source_path(module: str) -> Path | None:
    """The file of a module or the folder of a package, without importing it or what it is in."""
    spec: ModuleSpec | None = None
    path: Iterable[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _find_spec(name, None if path is None else list(path)) if part.isidentifier() else None
        if spec is None:
            return None
        path = spec.submodule_search_locations or []
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    file = Path(spec.origin)
    return file.parent if spec.submodule_search_locations is not None else file


def _find_spec(name: str, path: list[str] | None) -> ModuleSpec | None:
    # importlib.util.find_spec would import the parent packages; the finders themselves do not.
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None
