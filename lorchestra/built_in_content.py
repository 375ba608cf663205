"""The content that comes with lorchestra: jobs, pipelines, schemas, transforms, measures, SQL, templates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDERS = ("jobs", "pipelines", "schemas", "transforms", "measures", "sql", "templates")

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class BuiltInContent:
    """A folder that is laid out like the content of a project."""

    root: Path

    @property
    def definitions_path(self) -> Path:
        return self.root / "jobs" / "definitions"

    @property
    def pipelines_path(self) -> Path:
        return self.root / "pipelines"

    @property
    def sql_path(self) -> Path:
        return self.root / "sql"


def find() -> BuiltInContent | None:
    """Beside the code of an installed package; around the package in a checkout."""
    installed, checkout = _PACKAGE / "content", _PACKAGE.parent
    if installed.is_dir():
        return BuiltInContent(installed)
    if (checkout / "pyproject.toml").is_file() and (checkout / "jobs" / "definitions").is_dir():
        return BuiltInContent(checkout)
    return None


def definitions_behind(folder: Path, *, is_named: bool) -> Path | None:
    """The built-in definitions that jobs are looked for in after a project's own folder; None where it is the same.

    A folder that somebody named and that is not there is a mistake, and no project that has no jobs of its own.
    """
    content = find()
    if content is None or content.definitions_path.resolve() == folder.resolve() or (is_named and not folder.is_dir()):
        return None
    return content.definitions_path
