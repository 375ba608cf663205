"""What there is in the data and in the files, so that two moments can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lorchestra.storacle.tables import CONTENT_HASH

TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "raw_objects": ("raw", ("idem_key",)),
    "canonical_objects": ("canonical", ("idem_key",)),
    "measurement_events": ("derived", ("idem_key",)),
    "observations": ("derived", ("idem_key",)),
    "quarantine": ("events", ("job_id", "step_id", "idem_key")),
}
"""The dataset and the keys of each table that a day fills."""

Read: TypeAlias = Callable[[Mapping[str, Any]], Iterator[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Of the rows of a table, or the files of a folder: how many there are, and how many of them moved."""

    total: int
    new: int
    changed: int
    gone: int

    @property
    def any(self) -> bool:
        return bool(self.new or self.changed or self.gone)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """By table and by folder, what is there and a hash of what it says."""

    groups: Mapping[str, Mapping[str, str]]

    def since(self, earlier: Snapshot) -> dict[str, Moved]:
        return {name: _moved(earlier.groups.get(name, {}), group) for name, group in self.groups.items()}


def take(read: Read, folders: Mapping[str, Path]) -> Snapshot:
    tables = {name: _rows(read, name, dataset, keys) for name, (dataset, keys) in TABLES.items()}
    return Snapshot({**tables, **{name: _files(folder) for name, folder in folders.items()}})


def _rows(read: Read, table: str, dataset: str, keys: tuple[str, ...]) -> dict[str, str]:
    rows = read({"dataset": dataset, "table": table, "columns": [*keys, CONTENT_HASH]})
    return {"\n".join(row[key] for key in keys): str(row[CONTENT_HASH]) for row in rows}


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _moved(before: Mapping[str, str], after: Mapping[str, str]) -> Moved:
    return Moved(
        total=len(after),
        new=len(after.keys() - before.keys()),
        changed=sum(1 for key in after.keys() & before.keys() if after[key] != before[key]),
        gone=len(before.keys() - after.keys()),
    )
