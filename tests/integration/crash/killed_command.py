"""A command line of lorchestra whose process is gone at a numbered event: whatever it does to a file of its project, a
lock taken or given back, a statement of SQL.

The first argument is the number, or 0; the second a file that is told how many events there were, when there is an end.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import forked_python
from tests.forked_python import TalkingPython
from tests.integration.crash.killing import FineEvents

DEADLINE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """`code` is that of the process: the negative number of the signal, when one has killed it."""

    code: int
    events: int
    said: str


def run(root: Path, *arguments: str, kill_at: int = 0) -> Ended:
    told = root.with_suffix(".events")
    told.unlink(missing_ok=True)
    done = forked_python.run(__name__, str(kill_at), str(told), *arguments, cwd=root, environ={}, timeout=DEADLINE_S)
    events = int(told.read_text()) if told.exists() else 0
    return Ended(code=done.returncode, events=events, said=(done.stdout + done.stderr).decode())


@contextmanager
def started(root: Path, *arguments: str, kill_at: int = 0) -> Iterator[TalkingPython]:
    """One that goes on meanwhile; it is over at the end."""
    with Path(os.devnull).open("wb") as nothing:
        told = str(root.with_suffix(".events"))
        process = TalkingPython(
            *(__name__, str(kill_at), told, *arguments), errors=nothing.fileno(), cwd=root, environ={}, strict=False
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def main() -> None:
    number, told = int(sys.argv[1]), Path(sys.argv[2])
    del sys.argv[1:3]
    events = FineEvents(Path.cwd(), kill_at=number or None)
    events.watch_process()
    atexit.register(lambda: told.write_text(str(len(events.names))))
    # Imported here because what it imports is not to be counted.
    from lorchestra.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
