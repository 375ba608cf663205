"""The key of a store's digests: made once, the same for every process that uses the store."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lorchestra.errors import StoreError
from lorchestra.run_store import files

KEY_BYTES = 32


def load(path: Path) -> bytes:
    """The key in the file; the first to ask makes it."""
    with files.guarded(path, "read the digest key"):
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            _create(path)
            key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise StoreError(
            f"the digest key {path} has {len(key)} bytes, and {KEY_BYTES} are expected; restore it from a backup, or "
            "delete it: a new one is made then, and digests of earlier runs no longer compare with later ones"
        )
    return key


def _create(path: Path) -> None:
    draft = path.with_name(f"{path.name}~{secrets.token_hex(8)}")
    try:
        with files.create(draft) as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            # Unlike a rename, a link never replaces the key that another process made in the meantime.
            os.link(draft, path)
        except FileExistsError:
            return
        files.sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
