"""Files and folders of ours: private whatever the umask, durable when asked, and StoreError when the disk says no."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lorchestra.errors import StoreError

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "a file would grow beyond the size that the process is allowed (see `ulimit -f`)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied; the folder has to belong to the user who runs lorchestra",
    errno.EPERM: "it is not permitted; the folder has to belong to the user who runs lorchestra",
    errno.ENOTDIR: "a file stands where a folder is expected",
    errno.EEXIST: "a file stands where a folder is expected",
    errno.EISDIR: "a folder stands where a file is expected",
    errno.EMFILE: "the process has too many files open (see `ulimit -n`)",
    errno.ENFILE: "the machine has too many files open",
}


def failure(error: OSError, path: Path, doing: str) -> StoreError:
    """What could not be done, where, and why, as the operator should read it."""
    reason = _REASONS.get(error.errno or 0) or (os.strerror(error.errno) if error.errno else type(error).__name__)
    return StoreError(f"the run store cannot {doing} {path}: {reason}")


@contextlib.contextmanager
def guarded(path: Path, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure(error, path, doing) from error


def make_folder(path: Path) -> bool:
    """Make the folder, and its parents if need be; whether it is new. It is private, also when it was there before."""
    is_new = _make_folder(path)
    if is_new:
        with guarded(path.parent, "sync"):
            sync_folder(path.parent)
    return is_new


def _make_folder(path: Path) -> bool:
    with guarded(path, "make the folder"):
        try:
            mode = path.stat().st_mode & 0o777
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
            path.chmod(FOLDER_MODE)
            return True
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if mode != FOLDER_MODE:
            path.chmod(FOLDER_MODE)
        return False


def sync_folder(path: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path) -> BinaryIO:
    """Create and open a private file for writing; FileExistsError when it is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)
    return os.fdopen(descriptor, "wb", buffering=1 << 18)


def ensure_file(path: Path, content: bytes = b"") -> None:
    """Create the file with this content, unless it is there."""
    with guarded(path, "make the file"), contextlib.suppress(FileExistsError), create(path) as file:
        file.write(content)


class Draft:
    """A file in the making, beside the one it is to replace. Leaving the `with` without `keep` leaves no trace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        folder = path.parent
        # Its name is made durable with the file, which costs one sync less than before it.
        self._is_new_folder = _make_folder(folder)
        with guarded(path, "write"):
            # What a killed process left. A writer of this name that is still at work loses its draft, and so its turn.
            for left_over in folder.glob(f"{path.name}~*"):
                left_over.unlink(missing_ok=True)
            self._draft = path.with_name(f"{path.name}~{secrets.token_hex(8)}")
            self._file = create(self._draft)

    def __enter__(self) -> Draft:
        return self

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise failure(error, self._path, "write") from error

    def keep(self) -> None:
        """Put the file in its place; it survives a crash from here on."""
        with guarded(self._path, "write"):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._draft.rename(self._path)
            sync_folder(self._path.parent)
            if self._is_new_folder:
                sync_folder(self._path.parent.parent)

    def __exit__(self, *_: object) -> None:
        # When the disk is full, closing fails again; the error that led here is the one that counts.
        with contextlib.suppress(OSError):
            self._file.close()
        with guarded(self._draft, "remove"):
            self._draft.unlink(missing_ok=True)
