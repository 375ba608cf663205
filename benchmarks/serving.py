"""A storacle in a process of its own, served as `lorchestra storacle serve` does it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

CHILD = """
import sys
from pathlib import Path
from benchmarks.memory import peak_mib
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.http_server import serve
serve(DataService(SqliteBackend(Path(sys.argv[1]))), port=0, ready=lambda url: print(url, flush=True))
print(peak_mib())
"""


class Served:
    """The data of a file, over HTTP on loopback."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", CHILD, str(path)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self.peak_mib = 0.0
        """Known once the service has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate()
        if self._process.returncode and kind is None:
            raise RuntimeError("the service that was measured failed")
        self.peak_mib = float(said or 0)
