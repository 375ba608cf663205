"""`file.write` and `file.prune` carried out: files below the roots."""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import TypeAlias, assert_never

from lorchestra.clock import Clock
from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, NamespaceObject
from lorchestra.storacle.outward.base import Reach
from lorchestra.storacle.outward.file_lists import FileListWriter, FilePrune, FilesWrite, is_list
from lorchestra.storacle.outward.file_write import FileWrite, FileWriter
from lorchestra.storacle.outward.roots import Place, Roots, Target
from lorchestra.storacle.outward.smoke_folder import clearing
from lorchestra.storacle.outward.source import selected

Params: TypeAlias = FileWrite | FilesWrite | FilePrune


class FileMethod:
    def __init__(self, roots: Roots, clock: Clock) -> None:
        self._roots = roots
        self._writer = FileWriter(roots, clock)
        self._lists = FileListWriter(roots, self._writer)

    def carry_out(self, params: Params, reach: Reach, at: Path) -> Counts:
        match params:
            case FileWrite():
                return self._writer.write(params, namespace=reach.namespace, at=at)
            case FilesWrite():
                return self._lists.write(params, namespace=reach.namespace, at=at)
            case FilePrune():
                if params.source is not None:
                    with selected(replace(params.source, limit=0), reach, at):
                        pass
                return self._lists.prune(params, namespace=reach.namespace, at=at)
            case _:
                assert_never(params)

    def makes(self, params: Params, namespace: str, at: Path) -> NamespaceObject:
        """Of several files, their list, by which they are found again."""
        if isinstance(params, FileWrite):
            return NamespaceObject(kind="file", name=self._roots.name_of(params, namespace=namespace, at=at))
        return NamespaceObject(kind="file", name=self._lists.name_of(params, namespace=namespace, at=at))

    def alone(self, params: Params, at: Path) -> AbstractContextManager[object]:
        return self._roots.alone(Target(root=params.root, path="."), at=at)

    def remove(self, made: NamespaceObject, namespace: str) -> None:
        if is_list(made.name):
            self._lists.remove(made.name, namespace=namespace)
            return
        with clearing(self._roots, made.name, namespace=namespace) as place:
            if place is not None:
                _remove(place)


def _remove(place: Place) -> None:
    with suppress(FileNotFoundError):
        # What is no file is not ours: it was put there in place of one.
        if stat.S_ISREG(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode):
            os.unlink(place.name, dir_fd=place.folder)
