"""One writer at a time among the processes that share a store."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from lorchestra.errors import StoreError
from lorchestra.run_store import files

_SHORT_S = 30e-6
_LONG_S = 1e-3
_SHORT_WAITS = 200


class WriteLock:
    """Asking again every few microseconds is fair, and fast when a write takes a few hundred of them.

    SQLite itself sleeps for milliseconds between tries; waiting in the kernel could not be given up after a while.
    """

    def __init__(self, path: Path, *, patience_s: float) -> None:
        self._path = path
        self._patience_s = patience_s
        with files.guarded(path, "open"):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, files.FILE_MODE)
            os.fchmod(self._descriptor, files.FILE_MODE)

    def acquire(self) -> None:
        if self._try():
            return
        deadline = time.monotonic() + self._patience_s
        tries = 0
        while not self._try():
            if time.monotonic() > deadline:
                raise StoreError(
                    f"the run store cannot be written: another process has held {self._path} for "
                    f"{self._patience_s:g} s; let it go on if it is stopped, or end it"
                )
            time.sleep(_SHORT_S if tries < _SHORT_WAITS else _LONG_S)
            tries += 1

    def release(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._descriptor)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise files.failure(error, self._path, "lock") from error
        return True
