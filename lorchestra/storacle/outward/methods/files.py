"""`file.write` carried out: files below the roots."""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager, suppress

from lorchestra.clock import Clock
from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, NamespaceObject
from lorchestra.storacle.outward.base import Reach
from lorchestra.storacle.outward.file_write import FileWrite, FileWriter
from lorchestra.storacle.outward.roots import Place, Roots
from lorchestra.storacle.outward.smoke_folder import clearing


class FileMethod:
    def __init__(self, roots: Roots, clock: Clock) -> None:
        self._roots = roots
        self._writer = FileWriter(roots, clock)

    def carry_out(self, params: FileWrite, reach: Reach, at: Path) -> Counts:
        return self._writer.write(params, namespace=reach.namespace, at=at)

    def makes(self, params: FileWrite, namespace: str, at: Path) -> NamespaceObject:
        return NamespaceObject(kind="file", name=self._roots.name_of(params, namespace=namespace, at=at))

    def alone(self, params: FileWrite, at: Path) -> AbstractContextManager[object]:
        return self._roots.alone(params, at=at)

    def remove(self, made: NamespaceObject, namespace: str) -> None:
        with clearing(self._roots, made.name, namespace=namespace) as place:
            if place is not None:
                _remove(place)


def _remove(place: Place) -> None:
    with suppress(FileNotFoundError):
        # What is no file is not ours: it was put there in place of one.
        if stat.S_ISREG(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode):
            os.unlink(place.name, dir_fd=place.folder)
