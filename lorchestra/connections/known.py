"""The connections of a project, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lorchestra.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from lorchestra.connections.config import ConnectionConfig  # most runs ask for no connection


class Connections:
    """Each is made when it is asked for, so that a mistake in one is no trouble to jobs that use others."""

    def __init__(self, makers: Mapping[str, Callable[[], ConnectionConfig]] | None = None) -> None:
        self._makers = dict(makers or {})

    @classmethod
    def of(cls, *configs: ConnectionConfig) -> Connections:
        return cls({config.name: _maker(config) for config in configs})

    def get(self, name: str) -> ConnectionConfig:
        """Raises ConfigurationError, which names the known ones."""
        maker = self._makers.get(name)
        if maker is None:
            known = ", ".join(sorted(self._makers)) or "there are none"
            hint = did_you_mean(name, self._makers)
            raise ConfigurationError(
                f"no connection is named '{name}'; known: {known}; "
                + (hint or "add it under `connections:` in lorchestra.yaml")
            )
        return maker()

    def only(self, *names: str) -> Connections:
        """Those with these names and no others. Raises ConfigurationError for one that is not known."""
        for name in names:
            self.get(name)
        return Connections({name: self._makers[name] for name in names})


def _maker(config: ConnectionConfig) -> Callable[[], ConnectionConfig]:
    return lambda: config
