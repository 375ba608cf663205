"""A storacle over HTTP in a process of its own. When it is told so, it halts before or after each effect until a file
says go on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from lorchestra.storacle.codec import Message
from lorchestra.storacle.http_server import serve
from tests.integration.plan_process import plane


class HaltingService:
    def __init__(self, folder: Path, halts: str) -> None:
        self._folder = folder
        self._halts = halts
        self._inner = plane(folder / "data.db")

    def handle(self, message: object) -> Message | None:
        if self._halts == "before":
            self._halt()
        answer = self._inner.handle(message)
        if self._halts == "after":
            self._halt()
        return answer

    def _halt(self) -> None:
        (self._folder / "reached").touch()
        while not (self._folder / "go").exists():
            time.sleep(0.005)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--halts", choices=["before", "after", "never"], default="before")
    parser.add_argument("--grace", type=int, default=60)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    serve(
        HaltingService(given.folder, given.halts),
        port=given.port,
        ready=lambda url: print(url, flush=True),  # noqa: T201  whoever started this process reads it
        grace_s=given.grace,
    )
