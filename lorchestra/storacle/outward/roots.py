"""Where files may be written: below roots that the operator named, and nowhere else.

Folders are opened one by one, each from its parent's descriptor and never through a symbolic link. So what is checked
is what is used, whoever moves folders about meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import MappingProxyType

from lorchestra.errors import ConfigurationError, Path
from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Params
from lorchestra.storacle.service import RpcError

SMOKE_FOLDER = "_smoke"
DRAFT_PREFIX = ".lorchestra~"
LIST_PREFIX = ".lorchestra-"

PATIENCE_S = 60.0
_ASK_AGAIN_S = 0.005

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_SMOKE_PREFIX = "smoke_"
_LONGEST_PATH = 1024
_LONGEST_PART = 255
# SQLite takes a file of such a name for a part of the database beside it: writing one would change that database.
_SIDE_FILES = ("-journal", "-wal", "-shm")
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_CODES = {
    errno.ENOSPC: ErrorCode.STORAGE_FULL,
    errno.EDQUOT: ErrorCode.STORAGE_FULL,
    errno.EFBIG: ErrorCode.STORAGE_FULL,
    errno.ELOOP: ErrorCode.FORBIDDEN,
    errno.ENOTDIR: ErrorCode.FORBIDDEN,
    errno.EISDIR: ErrorCode.FORBIDDEN,
    errno.ENXIO: ErrorCode.FORBIDDEN,
    errno.EACCES: ErrorCode.FORBIDDEN,
    errno.EPERM: ErrorCode.FORBIDDEN,
    errno.EROFS: ErrorCode.FORBIDDEN,
    errno.ENAMETOOLONG: ErrorCode.INVALID_PARAMS,
}


class Target(Params):
    """Of file.write and sqlite.sync."""

    root: str = "files"
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A name in an open folder. `path` leads there too, but only the descriptor is proof against being led astray."""

    folder: int
    name: str
    path: FilePath


class Roots:
    def __init__(self, folders: Mapping[str, FilePath], *, patience_s: float = PATIENCE_S) -> None:
        for name, folder in folders.items():
            if not folder.is_absolute():
                raise ConfigurationError(f"the folder of the root '{name}' has to be an absolute path")
        self._folders = MappingProxyType(dict(folders))
        self._patience_s = patience_s

    @contextmanager
    def open(self, target: Target, *, namespace: str, at: Path = ()) -> Iterator[Place]:
        """The place that a target means in a namespace; its folders are made if need be. Every OSError, in the `with`
        as well, becomes an RpcError.
        """
        folder, *parents, name = self.resolve(target, namespace=namespace, at=at)
        with os_refusals((*at, "path")):
            descriptor = _walk(FilePath(folder), parents)
            try:
                yield Place(folder=descriptor, name=name, path=FilePath(folder, *parents, name))
            finally:
                os.close(descriptor)

    @contextmanager
    def alone(self, target: Target, *, at: Path = ()) -> Iterator[None]:
        """Have the root to oneself among all who ask for that, in whatever process. Raises RpcError (busy)."""
        place = (*at, "root")
        with os_refusals(place):
            descriptor = _walk(self._folder(target, place), [])
        try:
            with os_refusals(place):
                _lock(descriptor, self._patience_s, place)
            yield
        finally:
            os.close(descriptor)

    def resolve(self, target: Target, *, namespace: str, at: Path = ()) -> tuple[str, ...]:
        """The folder of the root, and the names that lead from there to the place."""
        return (str(self._folder(target, (*at, "root"))), *_parts(target.path, namespace, (*at, "path")))

    def name_of(self, target: Target, *, namespace: str, at: Path = ()) -> str:
        """What the place is called, as `root/path`. Nothing is made."""
        _, *parts = self.resolve(target, namespace=namespace, at=at)
        return "/".join((target.root, *parts))

    def _folder(self, target: Target, at: Path) -> FilePath:
        folder = self._folders.get(target.root)
        if folder is None:
            raise RpcError(ErrorCode.FORBIDDEN, at=at)
        return folder


@contextmanager
def os_refusals(at: Path = ()) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Without its cause: the message of an OSError quotes the path.
        raise RpcError(_CODES.get(error.errno or 0, ErrorCode.UNAVAILABLE), at=at) from None


def smoke_folder(namespace: str) -> tuple[str, str]:
    """Where a smoke run's files lie, as names below each root."""
    return (SMOKE_FOLDER, namespace.removeprefix(_SMOKE_PREFIX))


def _parts(path: str, namespace: str, at: Path) -> tuple[str, ...]:
    parts = path.split("/")
    if len(path) > _LONGEST_PATH or not all(_is_file_name(part) for part in parts if part):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    if any(part in ("", ".", "..") for part in parts):
        raise RpcError(
            ErrorCode.FORBIDDEN if ".." in parts or path.startswith("/") else ErrorCode.INVALID_PARAMS, at=at
        )
    # Folded, for file systems that are: there the folders of smoke runs go by other spellings as well.
    folded = [part.casefold() for part in parts]
    if any(part.startswith((DRAFT_PREFIX, LIST_PREFIX)) for part in folded) or folded[-1].endswith(_SIDE_FILES):
        raise RpcError(ErrorCode.FORBIDDEN, at=at)
    if namespace != PRODUCTION:
        return (*smoke_folder(namespace), *parts)
    if folded[0] == SMOKE_FOLDER:
        raise RpcError(ErrorCode.FORBIDDEN, at=at)
    return tuple(parts)


def _is_file_name(part: str) -> bool:
    try:
        return len(part.encode()) <= _LONGEST_PART and part.isprintable()
    except UnicodeEncodeError:
        return False


def _lock(folder: int, patience_s: float, at: Path) -> None:
    """Of the folder itself, so that no file has to be made for it; given back when it is closed, and by a kill."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise RpcError(ErrorCode.BUSY, at=at) from None
        else:
            return
        time.sleep(_ASK_AGAIN_S)


def _walk(root: FilePath, parents: list[str]) -> int:
    """The descriptor of the folder. The operator vouches for the root itself, which may be reached by a link."""
    root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parents:
        try:
            below = _enter(descriptor, part)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _enter(folder: int, name: str) -> int:
    with suppress(FileNotFoundError):
        return os.open(name, OPEN_FOLDER, dir_fd=folder)
    # Another process may be making it as well.
    with suppress(FileExistsError):
        os.mkdir(name, FOLDER_MODE, dir_fd=folder)
        os.fsync(folder)
    return os.open(name, OPEN_FOLDER, dir_fd=folder)
