"""Which workers live. A worker is one store object; it holds the lock on a file of its own for as long as it lives.

The kernel gives the lock back when the process ends, however it ends, so a killed worker shows at once.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from lorchestra.run_store import files

_SUFFIX = ".lock"


class WorkerLock:
    def __init__(self, folder: Path) -> None:
        self.worker_id = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._path = folder / f"{self.worker_id}{_SUFFIX}"
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Take the lock, unless it is held already."""
        while self._descriptor is None:
            files.make_folder(self._path.parent)
            with files.guarded(self._path, "make the lock file"):
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, files.FILE_MODE)
                try:
                    os.fchmod(descriptor, files.FILE_MODE)
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    # Between making and locking it, the file looks like a dead worker's, and may have been swept.
                    if self._is_in_place(descriptor):
                        self._descriptor, descriptor = descriptor, -1
                finally:
                    if descriptor >= 0:
                        os.close(descriptor)

    def release(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with files.guarded(self._path, "remove the lock file"):
                try:
                    self._path.unlink(missing_ok=True)
                finally:
                    os.close(descriptor)

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


def is_held(folder: Path, worker_id: str) -> bool:
    """Whether the worker's process holds its lock."""
    path = folder / f"{worker_id}{_SUFFIX}"
    with files.guarded(path, "probe the lock file"):
        return _is_held(path)


def sweep(folder: Path) -> None:
    """Remove the lock files of the dead."""
    with files.guarded(folder, "sweep the lock files in"):
        for path in folder.glob(f"*{_SUFFIX}"):
            if not _is_held(path):
                path.unlink(missing_ok=True)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that several who probe at once do not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
