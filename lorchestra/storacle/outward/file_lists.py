"""Several files at once, and a list beside them of what was written: so that what is no longer wanted can go.

The list lies in the folder itself. A name is on it before its file is there and until its file is gone, so a process
that is killed leaves no file that nobody knows of. It also says what is durably in each file: what is there already
costs reading it, and no more.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import AfterValidator, Field, field_validator, model_validator

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.file_write import Counts, FileWrite, FileWriter, is_unchanged, replace_file
from lorchestra.storacle.outward.roots import LIST_PREFIX, OPEN_FOLDER, Place, Roots, Target
from lorchestra.storacle.outward.smoke_folder import clearing
from lorchestra.storacle.outward.source import Source
from lorchestra.storacle.params import Identifier, Params
from lorchestra.storacle.service import RpcError

MOST_FILES = 10_000
MOST_KEPT = 1_000_000
_MOST_BYTES = 256 * 1024 * 1024
_SUFFIX = ".json"

# In the place of a folder: nothing is there, or something that is never walked through, and so holds nothing of ours.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class ListedFiles(Params):
    """Files of one folder that belong together: one list of them is kept, by its name."""

    root: str = "files"
    folder: str
    list: Identifier

    def target(self, path: str) -> Target:
        return Target(root=self.root, path=f"{self.folder}/{path}")


def _distinct(names: tuple[Any, ...]) -> tuple[Any, ...]:
    if len({name if isinstance(name, str) else name.path for name in names}) < len(names):
        raise ValueError("distinct paths are expected")
    return names


class OneFile(Params):
    """`path` is below the folder."""

    path: str
    content: str

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        # Frozen mappings come in from callers of this process.
        return dict(value) if isinstance(value, Mapping) else value


class FilesWrite(ListedFiles):
    files: Annotated[tuple[OneFile, ...], Field(min_length=1, max_length=MOST_FILES), AfterValidator(_distinct)]


class FilePrune(ListedFiles):
    """`keep` are the files that stay, whether they are on the list or not. A `source` has to be there, or nothing goes:
    where nothing was read, it may have been the wrong place to read.
    """

    source: Source | None = None
    keep: Annotated[tuple[str, ...], Field(max_length=MOST_KEPT), AfterValidator(_distinct)]

    @field_validator("keep", mode="before")
    @classmethod
    def _is_list(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError("a list is expected")
        return value


_Listed: TypeAlias = Mapping[str, str | None]
"""The files, and the hash of what is durably in each: none while that is not known."""


class _File:
    """One of the files of an op."""

    def __init__(self, params: FileWrite, path: str, position: int) -> None:
        self.params = params
        self.path = path
        self._position = position

    def at(self, at: Path) -> Path:
        return (*at, "files", self._position)

    def data(self, at: Path) -> bytes:
        return self.params.data(self.at(at))

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.data(())).hexdigest()


class FileListWriter:
    """Repeatable: what is written depends on the params alone, and what is removed on them and the list."""

    def __init__(self, roots: Roots, writer: FileWriter) -> None:
        self._roots = roots
        self._writer = writer

    def write(self, params: FilesWrite, *, namespace: str, at: Path = ()) -> Counts:
        files = [
            _File(FileWrite(root=params.root, path=params.target(one.path).path, content=one.content), one.path, place)
            for place, one in enumerate(params.files)
        ]
        for file in files:
            # Refused before anything is written or listed.
            self._roots.resolve(file.params, namespace=namespace, at=file.at(at))
        with self._list(params, namespace, at) as place:
            listed = _read(place)
            changed = [file for file in files if not self._is_there(file, listed, namespace, at)]
            if any(file.path not in listed for file in changed):
                replace_file(place, _written({**listed, **{file.path: listed.get(file.path) for file in changed}}))
            self._replace(changed, namespace, at)
            after = {**listed, **{file.path: file.digest for file in files}}
            if after != listed:
                replace_file(place, _written(after))
        return {"written": len(changed), "unchanged": len(files) - len(changed)}

    def _is_there(self, file: _File, listed: _Listed, namespace: str, at: Path) -> bool:
        with self._roots.open(file.params, namespace=namespace, at=file.at(at)) as place:
            # What the list says was durable before the list said so.
            return is_unchanged(place, file.data(at), is_durable=listed.get(file.path) == file.digest)

    def _replace(self, files: Sequence[_File], namespace: str, at: Path) -> None:
        """Write them, and make the names of all of them durable at once."""
        folders: dict[str, _File] = {}
        for file in files:
            with self._roots.open(file.params, namespace=namespace, at=file.at(at)) as place:
                if folders.setdefault(file.path.rpartition("/")[0], file) is file:
                    self._writer.sweep(place.folder)
                replace_file(place, file.data(at), syncs_folder=False)
        for file in folders.values():
            with self._roots.open(file.params, namespace=namespace, at=file.at(at)) as place:
                os.fsync(place.folder)

    def prune(self, params: FilePrune, *, namespace: str, at: Path = ()) -> Counts:
        with self._list(params, namespace, at) as place:
            listed = _read(place)
            keep = frozenset(params.keep)
            gone = sorted(listed.keys() - keep)
            for path in gone:
                self._roots.resolve(params.target(path), namespace=namespace, at=(*at, "list"))
                _remove(place.folder, path.split("/"))
            if gone:
                _put(place, {path: digest for path, digest in listed.items() if path in keep})
        return {"removed": len(gone), "kept": len(listed) - len(gone)}

    def name_of(self, params: ListedFiles, *, namespace: str, at: Path = ()) -> str:
        """What the list is called, as `root/path`: it stands for its files."""
        folder, _, _ = self._roots.name_of(params.target("x"), namespace=namespace, at=at).rpartition("/")
        return f"{folder}/{_file_name(params.list)}"

    def remove(self, name: str, *, namespace: str) -> None:
        """Take away a list that `name_of` called so, and its files."""
        folder, _, file = name.rpartition("/")
        with clearing(self._roots, f"{folder}/x", namespace=namespace) as place:
            if place is not None:
                place = replace(place, name=file)
                for path in _read(place):
                    _remove(place.folder, path.split("/"))
                _put(place, {})

    @contextmanager
    def _list(self, params: ListedFiles, namespace: str, at: Path) -> Iterator[Place]:
        with self._roots.open(params.target("x"), namespace=namespace, at=at) as place:
            yield replace(place, name=_file_name(params.list))


def is_list(name: str) -> bool:
    return name.rpartition("/")[2].startswith(LIST_PREFIX)


def _file_name(name: str) -> str:
    return f"{LIST_PREFIX}{name}{_SUFFIX}"


def _read(place: Place) -> _Listed:
    """The list. Raises RpcError (refused) for one that was not written here."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(place.name, flags, dir_fd=place.folder)
    except FileNotFoundError:
        return {}
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(_MOST_BYTES)
    with suppress(orjson.JSONDecodeError):
        listed = orjson.loads(data)
        if isinstance(listed, dict) and all(map(_is_below, listed)):
            return listed
    raise RpcError(ErrorCode.REFUSED, at=("list",))


def _is_below(path: str) -> bool:
    return not any(part in ("", ".", "..") for part in path.split("/"))


def _written(listed: _Listed) -> bytes:
    return canonical_bytes(listed)


def _put(place: Place, listed: _Listed) -> None:
    if listed:
        replace_file(place, _written(listed))
        return
    with suppress(FileNotFoundError):
        os.unlink(place.name, dir_fd=place.folder)
    os.fsync(place.folder)


def _remove(folder: int, parts: Sequence[str]) -> None:
    """Take away the file, if it is there, and folders that nothing is left in."""
    *parents, name = parts
    descriptors = [folder]
    with ExitStack() as stack:
        for part in parents:
            try:
                descriptors.append(os.open(part, OPEN_FOLDER, dir_fd=descriptors[-1]))
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    raise
                return
            stack.callback(os.close, descriptors[-1])
        try:
            # What is no file is not ours: it was put there in place of one.
            if not stat.S_ISREG(os.stat(name, dir_fd=descriptors[-1], follow_symlinks=False).st_mode):
                return
            os.unlink(name, dir_fd=descriptors[-1])
        except FileNotFoundError:
            return
        os.fsync(descriptors[-1])
        for part, above in zip(reversed(parents), reversed(descriptors[:-1]), strict=True):
            try:
                os.rmdir(part, dir_fd=above)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise
                return
