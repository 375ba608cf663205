"""`file.write`: a file below a configured root, as a whole or not at all.

Result: `written` or `unchanged`, 1 or 0. Errors: `forbidden` for a root that is not configured and for a path that
leads out of it, `invalid_params`, `storage_full`. Repeatable, and not atomic with the ledger: the file is there before
the ledger says so, and after a crash between the two it is written again, the same.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.outward.file_write import FileWrite
from lorchestra.storacle.params import parse


def read(value: Any, at: Path) -> FileWrite:
    return parse(FileWrite, value, at)
