"""A YAML command-plane executor with a callable registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorchestra.api import compile, execute
    from lorchestra.pipeline import PipelineResult, load_pipeline, run_pipeline
    from lorchestra.result import ExecutionResult

__version__ = "0.1.0"
__all__ = [
    "ExecutionResult",
    "PipelineResult",
    "__version__",
    "compile",
    "execute",
    "load_pipeline",
    "run_pipeline",
]

_HOMES = {
    "compile": "lorchestra.api",
    "execute": "lorchestra.api",
    "load_pipeline": "lorchestra.pipeline",
    "run_pipeline": "lorchestra.pipeline",
    "ExecutionResult": "lorchestra.result",
    "PipelineResult": "lorchestra.pipelines.result",
}


def __getattr__(name: str) -> object:
    # Imported when asked for: `lorchestra --help` must not pay for the executor.
    if name not in _HOMES:
        raise AttributeError(f"module 'lorchestra' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
