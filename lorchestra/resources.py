"""The project's content that callables declare: schemas, transforms, measures, templates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lorchestra.callable.context import Resource
from lorchestra.errors import ConfigurationError


class ResourceFolder:
    """Reads files below one folder, and nothing outside it."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def load(self, wanted: Mapping[str, str]) -> dict[str, Resource]:
        """The files of a mapping from name to path, below the root. Raises ConfigurationError for what is not there."""
        return {name: self._read(path) for name, path in wanted.items()}

    def _read(self, path: str) -> Resource:
        try:
            file = (self._root / path).resolve()
            if not file.is_relative_to(self._root):
                raise ConfigurationError("a resource lies outside the project's content folder")
            content = file.read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"a resource of a callable cannot be read below {self._root} ({type(error).__name__})"
            ) from error
        return Resource(content=content, sha256=hashlib.sha256(content).hexdigest())
