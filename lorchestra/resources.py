"""The content that callables declare: schemas, transforms, measures, templates; the project's, or else built in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lorchestra.callable.context import Resource
from lorchestra.errors import ConfigurationError


class ResourceFolder:
    """Reads files below one folder, or below the next one that has them, and nothing outside of these."""

    def __init__(self, root: Path, *fallbacks: Path) -> None:
        self._roots = tuple(folder.resolve() for folder in (root, *fallbacks))

    def load(self, wanted: Mapping[str, str]) -> dict[str, Resource]:
        """The files of a mapping from name to path, below the root. Raises ConfigurationError for what is not there."""
        return {name: self._read(path) for name, path in wanted.items()}

    def _read(self, path: str) -> Resource:
        try:
            content = self._find(path).read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"a resource of a callable cannot be read below {self._roots[0]} ({type(error).__name__})"
            ) from error
        return Resource(content=content, sha256=hashlib.sha256(content).hexdigest())

    def _find(self, path: str) -> Path:
        """The file in the first folder that has it; in the first of all, when none does."""
        files = []
        for root in self._roots:
            file = (root / path).resolve()
            if not file.is_relative_to(root):
                raise ConfigurationError("a resource lies outside the project's content folder")
            files.append(file)
        return next((file for file in files if file.exists()), files[0])
