"""Which callables there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorchestra.callable import code_hash, installed
from lorchestra.callable.built_in import BUILT_IN
from lorchestra.callable.entry import CallableEntry, LoadedCallable
from lorchestra.callable.installed import InstalledPackages
from lorchestra.callable.project import ProjectFolder
from lorchestra.callable.result import CallableResult
from lorchestra.errors import UnknownCallable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from lorchestra.callable.context import CallableContext  # it needs the item types, which are slow to import

__all__ = ["CallableEntry", "CallableRegistry", "LoadedCallable"]


class CallableRegistry:
    """Finds a callable by its name. The nearest wins: registered here, in the project's folder of callables, in an
    installed package, built in. Nothing is imported before it is loaded.
    """

    def __init__(
        self,
        *,
        project_folder: Path | None = None,
        entry_points: Callable[[], Iterable[EntryPoint]] = installed.entry_points,
        built_in: Mapping[str, str] = BUILT_IN,
    ) -> None:
        self._registered: dict[str, CallableEntry] = {}
        self._project = ProjectFolder(project_folder) if project_folder is not None else None
        self._installed = InstalledPackages(entry_points)
        self._built_in = built_in
        # Found once, so that a callable is loaded once and its hash is the one of the code that runs.
        self._found: dict[str, CallableEntry] = {}

    def copy(self, *, project_folder: Path | None = None) -> CallableRegistry:
        """A registry with the same callables; a folder given takes the place of the project's folder.

        Later changes to either do not show in the other.
        """
        copy = CallableRegistry.__new__(CallableRegistry)
        copy._registered = dict(self._registered)
        copy._project = ProjectFolder(project_folder) if project_folder is not None else self._project
        copy._installed = self._installed
        copy._built_in = self._built_in
        copy._found = {} if project_folder is not None else dict(self._found)
        return copy

    def register(self, name: str, target: object) -> None:
        """Add a function or a module with `execute`, or replace the one of that name. Raises BrokenCallable."""
        entry = CallableEntry(
            name,
            origin="registered",
            find=lambda: target,
            hash_code=partial(code_hash.of_object, target),
        )
        entry.load()
        self._registered[name] = entry

    def get(self, name: str) -> CallableEntry:
        """Raises UnknownCallable, which names the known ones."""
        entry = self._registered.get(name) or self._found.get(name)
        if entry is None:
            entry = self._find(name)
            if entry is None:
                raise UnknownCallable(name, known=self.names())
            entry = self._found.setdefault(name, entry)
        return entry

    def names(self) -> tuple[str, ...]:
        project = self._project.names() if self._project else ()
        return tuple(sorted({*self._registered, *self._found, *project, *self._installed.names(), *self._built_in}))

    def entries(self) -> tuple[CallableEntry, ...]:
        return tuple(self.get(name) for name in self.names())

    def dispatch(self, name: str, params: Any, context: CallableContext | None = None) -> CallableResult:
        """Call one directly. Without a context it is given a plain one (`lorchestra.callable.direct`)."""
        loaded = self.get(name).load()
        if context is None:
            # Only here, since the item types are slow to import.
            from lorchestra.callable.direct import direct_context

            context = direct_context()
        return loaded.execute(params, context)

    def _find(self, name: str) -> CallableEntry | None:
        entry = self._project.find(name) if self._project else None
        entry = entry or self._installed.find(name)
        if entry is None and name in self._built_in:
            entry = installed.module_entry(name, self._built_in[name], origin="built in")
        return entry
