"""Callables: named functions that do the work of a `call` step."""

from lorchestra.callable.default import default_registry, dispatch_callable, project_registry, register_callable
from lorchestra.callable.registry import CallableRegistry
from lorchestra.callable.result import CallableResult

__all__ = [
    "CallableRegistry",
    "CallableResult",
    "default_registry",
    "dispatch_callable",
    "project_registry",
    "register_callable",
]
