"""file.write: a file is replaced as a whole, or not at all."""

from __future__ import annotations

import base64
import errno
import os
import secrets
import stat
from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import model_validator

from lorchestra.clock import Clock
from lorchestra.errors import Path
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import DRAFT_PREFIX, FILE_MODE, Place, Roots, Target
from lorchestra.storacle.service import RpcError

Counts = dict[str, int]

# A process that still writes touches its draft far more often.
_ABANDONED_AFTER = timedelta(hours=1)
_CHUNK = 1 << 18


class FileWrite(Target):
    """Either text, written as UTF-8, or bytes."""

    content: str | None = None
    content_base64: str | None = None

    @model_validator(mode="after")
    def _has_one_content(self) -> FileWrite:
        if (self.content is None) == (self.content_base64 is None):
            raise ValueError("either 'content' or 'content_base64' is expected")
        return self

    def data(self, at: Path = ()) -> bytes:
        try:
            if self.content is not None:
                return self.content.encode()
            return base64.b64decode(self.content_base64 or "", validate=True)
        except ValueError:
            name = "content_base64" if self.content is None else "content"
        # Outside the `except`: the error holds the content.
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, name))


class FileWriter:
    """Repeatable: what is written depends on the params alone. A reader, and a process that is killed at any point,
    finds or leaves the old content or the new one; of two writers at the same time, the later one stays.
    """

    def __init__(self, roots: Roots, clock: Clock) -> None:
        self._roots = roots
        self._clock = clock
        self._swept: dict[tuple[int, int], datetime] = {}

    def write(self, params: FileWrite, *, namespace: str, at: Path = ()) -> Counts:
        data = params.data(at)
        with self._roots.open(params, namespace=namespace, at=at) as place:
            if is_unchanged(place, data):
                return {"written": 0, "unchanged": 1}
            self.sweep(place.folder)
            replace_file(place, data)
        return {"written": 1, "unchanged": 0}

    def sweep(self, folder: int) -> None:
        """Remove what killed processes left. Seldom, since a folder may hold very many files."""
        now = self._clock.now()
        status = os.fstat(folder)
        identity = (status.st_dev, status.st_ino)
        swept = self._swept.get(identity)
        if swept is not None and now - swept < _ABANDONED_AFTER:
            return
        self._swept[identity] = now
        oldest = (now - _ABANDONED_AFTER).timestamp()
        with os.scandir(folder) as entries:
            drafts = [entry.name for entry in entries if entry.name.startswith(DRAFT_PREFIX)]
        for name in drafts:
            # It may have gone meanwhile.
            with suppress(FileNotFoundError):
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < oldest:
                    os.unlink(name, dir_fd=folder)


def is_unchanged(place: Place, data: bytes, *, is_durable: bool = False) -> bool:
    """Whether the file is there with this content, durably: made so unless it is known to be."""
    try:
        # Non-blocking, because a pipe of this name would wait for a writer.
        descriptor = os.open(
            place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.folder
        )
    except FileNotFoundError:
        return False
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(errno.EPERM, "no regular file")
        if status.st_size != len(data):
            return False
        position = 0
        while chunk := file.read(_CHUNK):
            if chunk != data[position : position + len(chunk)]:
                return False
            position += len(chunk)
        if position != len(data):
            return False
        if stat.S_IMODE(status.st_mode) != FILE_MODE:
            os.fchmod(descriptor, FILE_MODE)
        if not is_durable:
            # Whoever wrote it may have died before it was durable, and the answer says that it is.
            os.fsync(descriptor)
            os.fsync(place.folder)
    return True


def replace_file(place: Place, data: bytes, *, syncs_folder: bool = True) -> None:
    """The name means this content from now on: durably once its folder is synced."""
    draft = DRAFT_PREFIX + secrets.token_hex(8)
    descriptor = os.open(
        draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=place.folder
    )
    try:
        # Unbuffered: every byte is on its way before the sync, and closing cannot fail for want of space.
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, FILE_MODE)
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(descriptor)
        os.rename(draft, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=place.folder)
        raise
    if syncs_folder:
        os.fsync(place.folder)
