"""A folder that somebody swaps for a link while others write into it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def swapped(folder: Path, outside: Path) -> Iterator[None]:
    """The folder is a link at one moment and a folder at the next, as often as can be."""
    kept = folder.with_name("kept")
    is_done = threading.Event()

    def swap() -> None:
        while not is_done.is_set():
            with suppress(OSError):
                folder.rename(kept)
            with suppress(OSError):
                folder.symlink_to(outside)
            with suppress(OSError):
                folder.unlink()
            with suppress(OSError):
                kept.rename(folder)

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        yield
    finally:
        is_done.set()
        attacker.join()
