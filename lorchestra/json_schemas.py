"""The JSON Schemas of the files people write, generated from the models, for editors and other programs.

`python -m lorchestra.json_schemas <folder>` writes them to their places below a folder of content.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from lorchestra.errors import ConfigurationError, did_you_mean
from lorchestra.schemas import JobDef, PipelineDef

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file. Raises ConfigurationError for a name that is not in SCHEMAS."""
    if name not in SCHEMAS:
        hint = did_you_mean(name, SCHEMAS)
        raise ConfigurationError(
            f"no schema is named '{name}'; known: {', '.join(SCHEMAS)}" + (f"; {hint}" if hint else "")
        )
    model = SCHEMAS[name]()
    schema = model.model_json_schema(by_alias=True)
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("title", None)
        for field in part.get("properties", {}).values():
            # What pydantic makes up from the key says nothing that the key does not.
            field.pop("title", None)
    heading = {"$schema": DIALECT, "$id": f"urn:lorchestra:schema:{name}", "title": f"lorchestra {name}"}
    return {**heading, **schema}


def render(name: str) -> str:
    """The schema as the text of its file."""
    return json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n"


def file_name(name: str) -> str:
    """Where the schema stands, below the folder of content."""
    return f"{_FOLDERS.get(name, 'schemas')}/{name}.schema.json"


def write_all(folder: Path) -> tuple[Path, ...]:
    """Write every schema into the folder, and say which files those are."""
    written = []
    for name in SCHEMAS:
        path = folder / file_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(name), encoding="utf-8")
        written.append(path)
    return tuple(written)


def _settings() -> type[BaseModel]:
    from lorchestra.settings.model import SettingsFile  # only one of the schemas needs it

    return SettingsFile


def _measure() -> type[BaseModel]:
    from lorchestra.callable.finalform.measure import Measure  # only one of the schemas needs it

    return Measure


def _binding() -> type[BaseModel]:
    from lorchestra.callable.finalform.binding import Binding  # only one of the schemas needs it

    return Binding


SCHEMAS: Mapping[str, Callable[[], type[BaseModel]]] = MappingProxyType(
    {
        "job": lambda: JobDef,
        "pipeline": lambda: PipelineDef,
        "settings": _settings,
        "measure": _measure,
        "binding": _binding,
    }
)
"""The kinds of files, and the model of each."""

_FOLDERS: Mapping[str, str] = MappingProxyType({"measure": "measures/schemas", "binding": "measures/schemas"})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m lorchestra.json_schemas <folder>")
    write_all(Path(sys.argv[1]))
