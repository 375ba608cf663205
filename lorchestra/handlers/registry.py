"""Which handler carries out the ops of which backend."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lorchestra.errors import ConfigurationError
from lorchestra.handlers.base import Handler
from lorchestra.handlers.llm_config import NO_LLM_SERVICE
from lorchestra.schemas import Backend, Op

# The backends that take a handler, and what to do when there is none. The executor carries the others out itself.
_MISSING: Mapping[Backend, str] = {
    Backend.INFEROMETER: NO_LLM_SERVICE,
    Backend.ORCHESTRATION: (
        "'job.run' needs a handler that starts child runs; "
        "pass HandlerRegistry({Backend.ORCHESTRATION: OrchestrationHandler(...)}) to the executor"
    ),
}


class HandlerRegistry:
    def __init__(self, handlers: Mapping[Backend, Handler] | None = None) -> None:
        for backend in handlers or {}:
            if backend not in _MISSING:
                raise ConfigurationError(
                    f"backend '{backend}' takes no handler: the executor carries its ops out itself; "
                    f"handlers are for {', '.join(_MISSING)}"
                )
        self._handlers = MappingProxyType(dict(handlers or {}))

    def handler_for(self, op: Op) -> Handler:
        """Raises ConfigurationError, saying what to configure, when there is none."""
        handler = self._handlers.get(op.backend)
        if handler is None:
            raise ConfigurationError(
                _MISSING.get(op.backend) or f"op '{op}' has no handler: the executor carries it out itself"
            )
        return handler
