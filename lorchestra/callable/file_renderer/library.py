"""The templates of a project, checked when its definitions are."""

from __future__ import annotations

from pathlib import Path

from lorchestra.callable.file_renderer.template import PageTemplate
from lorchestra.errors import DefinitionError, Location, Problem


def problems(content: Path, *, root: Path) -> tuple[Problem, ...]:
    """Every template that is none, with its place as told from `root`."""
    found: list[Problem] = []
    for file in sorted((content / "templates").glob("*.md")):
        name = str(file.relative_to(root) if file.is_relative_to(root) else file)
        try:
            PageTemplate(file.read_bytes(), name)
        except DefinitionError as error:
            found += error.problems
        except OSError as error:
            what = f"a file that cannot be read ({type(error).__name__})"
            found.append(Problem(found=what, expected="expected a template of Jinja", location=Location(name, 1, 1)))
    return tuple(found)
