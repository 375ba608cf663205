"""What a smoke run made below the roots is found again, to be taken away: below its own folder, and nowhere else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path as FilePath

from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import (
    DRAFT_PREFIX,
    OPEN_FOLDER,
    Place,
    Roots,
    Target,
    os_refusals,
    smoke_folder,
)
from lorchestra.storacle.service import RpcError

# In the place of a folder: nothing is there, or something that is never walked through, and so holds nothing of ours.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@contextmanager
def clearing(roots: Roots, name: str, *, namespace: str) -> Iterator[Place | None]:
    """The place that `Roots.name_of` called so, or None where its folder is not there. Afterwards what killed writers
    left beside it is gone, and so are folders of the namespace that are empty.

    Raises FORBIDDEN for a name that is not of the namespace.
    """
    folder, *parents, last = roots.resolve(_target(name, namespace), namespace=namespace)
    with os_refusals(), ExitStack() as stack:
        descriptors = _open_existing(FilePath(folder), parents, stack)
        is_there = len(descriptors) > len(parents)
        if not is_there:
            yield None
        else:
            yield Place(folder=descriptors[-1], name=last, path=FilePath(folder, *parents, last))
            _remove_drafts(descriptors[-1])
        _remove_empty(parents, descriptors, kept=len(smoke_folder(namespace)) - 1)


def _target(name: str, namespace: str) -> Target:
    root, _, path = name.partition("/")
    above = "/".join((*smoke_folder(namespace), ""))
    if namespace == PRODUCTION or not path.startswith(above):
        raise RpcError(ErrorCode.FORBIDDEN)
    return Target(root=root, path=path.removeprefix(above))


def _open_existing(root: FilePath, parents: Sequence[str], stack: ExitStack) -> list[int]:
    """The descriptors of the root and of the folders below it, as far down as there are any."""
    descriptors: list[int] = []
    try:
        descriptors.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        stack.callback(os.close, descriptors[-1])
        for part in parents:
            descriptors.append(os.open(part, OPEN_FOLDER, dir_fd=descriptors[-1]))
            stack.callback(os.close, descriptors[-1])
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
    return descriptors


def _remove_drafts(folder: int) -> None:
    with os.scandir(folder) as entries:
        drafts = [entry.name for entry in entries if entry.name.startswith(DRAFT_PREFIX)]
    for name in drafts:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _remove_empty(parents: Sequence[str], descriptors: Sequence[int], *, kept: int) -> None:
    """From below, but for the first few, which others use as well."""
    for depth in range(len(descriptors) - 2, kept - 1, -1):
        try:
            os.rmdir(parents[depth], dir_fd=descriptors[depth])
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return
