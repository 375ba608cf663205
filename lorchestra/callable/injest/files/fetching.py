"""Records of files. They have no time of change, so each run reads all; what is the same as before changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorchestra.callable.injest.files import formats
from lorchestra.callable.injest.given import Given
from lorchestra.callable.injest.raw import external_id
from lorchestra.connections.config import Files
from lorchestra.errors import ConfigurationError
from lorchestra.items import Item


def items(connection: Files, given: Given) -> Iterator[Item]:
    left = given.range.limit
    for path in _paths(connection):
        given.token.progress()
        given.count("files")
        for payload in formats.records(path, connection.format):
            yield given.rows.row(external_id(payload, connection.id_field), payload)
            left = None if left is None else left - 1
            if left == 0:
                return


def _paths(connection: Files) -> list[Path]:
    path = connection.path
    if not any(letter in path.name for letter in "*?["):
        return [path]
    found = sorted(one for one in path.parent.glob(path.name) if one.is_file())
    if not found and not path.parent.is_dir():
        raise ConfigurationError(f"connection '{connection.name}': there is no folder {path.parent}")
    return found
