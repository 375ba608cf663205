"""JSONata, by whichever engine there is: one that is compiled, or one in Python alone."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from lorchestra.callable.canonizer.engines.base import Engine, EngineName, Expression, TransformFailed
from lorchestra.errors import ConfigurationError

__all__ = ["Engine", "EngineName", "Expression", "TransformFailed", "find"]


def find(name: EngineName | None = None) -> Engine:
    """The engine of this name, or the fastest that is installed. Raises ConfigurationError when there is none."""
    for one in EngineName if name is None else (name,):
        if find_spec(one.module) is not None:
            # Imported here because either may be missing, and one is enough.
            engine: Engine = import_module(f"{__name__}.{one.module}_engine").ENGINE
            return engine
    packages = name or " or ".join(EngineName)
    raise ConfigurationError(f"no engine for JSONata is installed; install {packages}")
