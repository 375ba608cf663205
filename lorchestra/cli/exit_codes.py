"""The one table of exit codes."""

from __future__ import annotations

from collections.abc import Mapping

from lorchestra import errors

COMPLETED = 0
PARTIAL = 1
FAILED = 2
USAGE = 64
DEFINITION = 65
CONFIGURATION = 78
INTERRUPTED = 130
TERMINATED = 143

BY_STATUS: Mapping[str, int] = {
    "completed": COMPLETED,
    "dry_run": COMPLETED,
    "skipped": COMPLETED,
    "partial": PARTIAL,
    "failed": FAILED,
    "interrupted": FAILED,
    # Taken up by another process while this one looked on.
    "running": FAILED,
    "cancelled": INTERRUPTED,
}

# The first class that fits decides, so the special ones stand before their bases.
BY_ERROR: tuple[tuple[type[errors.LorchestraError], int], ...] = (
    (errors.DefinitionError, DEFINITION),
    (errors.ConfigurationError, CONFIGURATION),
    (errors.RunNotFound, DEFINITION),
    (errors.RunCancelled, INTERRUPTED),
    (errors.LorchestraError, FAILED),
)


def of_error(error: errors.LorchestraError) -> int:
    return next(code for kind, code in BY_ERROR if isinstance(error, kind))
