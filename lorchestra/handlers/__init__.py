"""Handlers carry out the ops that go to another service or to another run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lorchestra.handlers.base import Handler, StepAnswer, StepRequest
from lorchestra.handlers.registry import HandlerRegistry

if TYPE_CHECKING:
    from lorchestra.handlers.compute import ComputeHandler
    from lorchestra.handlers.orchestration import OrchestrationHandler

__all__ = ["ComputeHandler", "Handler", "HandlerRegistry", "OrchestrationHandler", "StepAnswer", "StepRequest"]

# Loaded when asked for: the registry is needed for every run, these only by a job that has such a step.
_ON_DEMAND = {
    "ComputeHandler": "lorchestra.handlers.compute",
    "OrchestrationHandler": "lorchestra.handlers.orchestration",
}


def __getattr__(name: str) -> object:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_ON_DEMAND[name]), name)
