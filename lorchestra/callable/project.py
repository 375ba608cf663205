"""Callables in a folder of the project: `<name>.py`, or a package `<name>/`."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from lorchestra.callable import code_hash
from lorchestra.callable.entry import CallableEntry

_NAME = re.compile(r"[a-z][a-z0-9_]*")

# Two registries of one project share its modules, so no thread may see one that is half loaded.
_loading = threading.RLock()


class ProjectFolder:
    """Finds the callables in one folder, which need not exist. `sys.path` and other projects stay as they are.

    A module stands alone; one that needs helpers is a package, whose modules import each other relatively. So the
    content hash covers all the code of the project that runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def find(self, name: str) -> CallableEntry | None:
        path = self._path(name)
        return None if path is None else self._entry(name, path)

    def names(self) -> Iterator[str]:
        if self._folder.is_dir():
            names = {path.stem if path.suffix == ".py" else path.name for path in self._folder.iterdir()}
            yield from (name for name in sorted(names) if self._path(name) is not None)

    def _path(self, name: str) -> Path | None:
        """The package, which wins as it does in Python, or the module."""
        if not _NAME.fullmatch(name):
            return None
        package, module = self._folder / name, self._folder / f"{name}.py"
        if (package / "__init__.py").is_file():
            return package
        return module if module.is_file() else None

    def _entry(self, name: str, path: Path) -> CallableEntry:
        return CallableEntry(
            name,
            origin=f"project {path}",
            find=partial(_load, name, path),
            hash_code=partial(code_hash.of_path, path),
            home=path,
        )


class _FromSource(SourceFileLoader):
    """Compiles the source each time. A cached file is trusted when size and second of the source match, so right after
    an edit the old code could run under the hash of the new.
    """

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def _load(name: str, path: Path) -> ModuleType:
    """The module, under a name that holds the project and the code, so that neither clashes with another."""
    identity = f"{path}\n{code_hash.of_path(path)}"
    module_name = f"_lorchestra_callable_{name}_{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    with _loading:
        if module_name in sys.modules:
            return sys.modules[module_name]
        is_package = path.is_dir()
        loader = _FromSource(module_name, str(path / "__init__.py" if is_package else path))
        spec = ModuleSpec(module_name, loader, origin=loader.path, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [str(path)]
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            for loaded in [key for key in sys.modules if key == module_name or key.startswith(f"{module_name}.")]:
                del sys.modules[loaded]
            raise
        return module
