"""`file.write`: a file below a configured root, as a whole or not at all; or several files of one folder, which are
noted on a list in the folder. `file.prune`: of the files on such a list, those that are not named are removed.

Result: how many files were `written` or are `unchanged`; how many of a list were `removed` or `kept`. Errors:
`forbidden` for a root that is not configured and for a path that leads out of it, `invalid_params`, also for a source
that is not there, `refused` for a list that was not written here, `storage_full`. Repeatable, and not atomic with the
ledger: the files are there before the ledger says so, and after a crash between the two they are written again, the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorchestra.errors import Path
from lorchestra.storacle.outward.file_lists import FilePrune, FilesWrite
from lorchestra.storacle.outward.file_write import FileWrite
from lorchestra.storacle.params import parse


def read_write(value: Any, at: Path) -> FileWrite | FilesWrite:
    if isinstance(value, Mapping) and "files" in value:
        return parse(FilesWrite, value, at)
    return parse(FileWrite, value, at)


def read_prune(value: Any, at: Path) -> FilePrune:
    return parse(FilePrune, value, at)
