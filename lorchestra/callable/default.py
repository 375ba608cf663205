"""The default registry: the one place that code which has no registry at hand adds its callables to.

It is the only thing of ours that lives in a module and changes. An executor copies it when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorchestra.callable.registry import CallableRegistry
from lorchestra.callable.result import CallableResult

_default = CallableRegistry()


def default_registry() -> CallableRegistry:
    return _default


def project_registry(folder: Path) -> CallableRegistry:
    """A registry with the callables of the default one, and those in a project's folder of callables."""
    return _default.copy(project_folder=folder)


def register_callable(name: str, fn: object) -> None:
    """Add a function or module to the default registry. Executors that exist already do not see it."""
    _default.register(name, fn)


def dispatch_callable(name: str, params: Mapping[str, Any]) -> CallableResult:
    """Call a callable of the default registry directly, without a run."""
    return _default.dispatch(name, params)
