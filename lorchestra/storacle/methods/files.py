"""`file.write`: a file below a configured root, as a whole or not at all.

Result: `written` or `unchanged`, 1 or 0. Errors: `forbidden` for a root that is not configured and for a path that
leads out of it, `invalid_params`, `storage_full`. Repeatable, and not atomic with the ledger: the file is there before
the ledger says so, and after a crash between the two it is written again, the same.
"""

from __future__ import annotations

from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts, Transaction
from lorchestra.storacle.outward.file_write import FileWrite, FileWriter
from lorchestra.storacle.params import parse


class Files:
    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer

    def write(self, tx: Transaction, value: Any, at: Path) -> Counts:
        return self._writer.write(parse(FileWrite, value, at), namespace=tx.namespace, at=at)
