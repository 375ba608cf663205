"""Standard output and error that never stop a command: what a run did must not depend on whether it can be printed."""

from __future__ import annotations

import errno
import io
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer  # in the standard library since Python 3.12


class SturdyFile(io.FileIO):
    """A file that is open already. Once it cannot be written to any more, the rest is dropped."""

    failure: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


class Streams:
    """Puts sturdy streams in place of the process's own. A closed one stays closed."""

    def __init__(self) -> None:
        self._files: list[SturdyFile] = []
        sys.stdout = self._sturdy(sys.stdout)
        sys.stderr = self._sturdy(sys.stderr)

    def flush(self) -> str | None:
        """Write out what is held back; why that did not work. A reader that has seen enough is no reason."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        failures = [file.failure for file in self._files if file.failure is not None]
        reasons = [failure.strerror for failure in failures if failure.errno not in (errno.EPIPE, errno.EBADF)]
        return reasons[0] if reasons else None

    def _sturdy(self, stream: TextIO) -> TextIO:
        if stream is None:
            return stream
        stream.flush()
        file = SturdyFile(stream.fileno(), "w", closefd=False)
        self._files.append(file)
        # A character that the terminal cannot show is spelled out; it is no reason to fail.
        return io.TextIOWrapper(
            io.BufferedWriter(file),
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=bool(stream.line_buffering),
        )
