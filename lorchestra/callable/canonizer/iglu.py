"""Schemas by their Iglu address: `iglu:<vendor>/<name>/jsonschema/<model>-<revision>-<addition>`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lorchestra.errors import DefinitionError, Problem

_ADDRESS = re.compile(r"iglu:([a-z0-9_.-]+)/([a-z0-9_]+)/jsonschema/([1-9]\d*-\d+-\d+)")


@dataclass(frozen=True, slots=True)
class SchemaAddress:
    vendor: str
    name: str
    version: str

    @classmethod
    def parse(cls, value: object, *, param: str) -> SchemaAddress:
        """Raises DefinitionError for what is no address; `param` is where it stands."""
        found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        if found is None or ".." in found[1]:
            raise DefinitionError(
                Problem(
                    found=f"'{param}' is no Iglu address",
                    expected="such as iglu:raw/email_gmail/jsonschema/1-0-0",
                    path=("params", param),
                )
            )
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"iglu:{self.vendor}/{self.name}/jsonschema/{self.version}"

    @property
    def path(self) -> str:
        """Where it lies, below the content."""
        return f"schemas/iglu/{self.vendor}/{self.name}/jsonschema/{self.version}"
