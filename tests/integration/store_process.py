"""A process with a SQLite run store of its own that does as it is told."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lorchestra.errors import StoreError
from lorchestra.run_store import SqliteRunStore
from lorchestra.schemas import RunStatus
from tests.factories import NOW, job_def, manifest, outcome, run_record
from tests.forked_python import TalkingPython, unmeasured

HEARTBEAT_S, STALE_AFTER_S = 0.05, 0.5


class StoreProcess:
    def __init__(self, folder: Path, *, umask: int = 0o022) -> None:
        self._process = TalkingPython(__name__, str(folder), umask=umask)

    def __enter__(self) -> StoreProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        self._process.close()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()

    def send(self, action: str, *arguments: object) -> None:
        self._process.stdin.write(json.dumps([action, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        return json.loads(self._process.stdout.readline())

    def ask(self, action: str, *arguments: object) -> Any:
        self.send(action, *arguments)
        return self.answer()


class Actions:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: SqliteRunStore

    def open_store(self) -> str:
        self.store = SqliteRunStore(self.folder, heartbeat_s=HEARTBEAT_S, stale_after_s=STALE_AFTER_S)
        return "opened"

    def close_store(self) -> str:
        self.store.close()
        return "closed"

    def open_run(self, run_id: str, exclusive: bool = True) -> str:
        self.store.open_run(run_record(run_id=run_id), job_def(), [manifest(run_id)], exclusive=exclusive)
        return "opened"

    def open_attempt(self, run_id: str) -> int:
        return self.store.open_attempt(run_id, at=NOW)

    def advance(self, run_id: str, attempt_n: int, times: int = 1) -> str:
        for _ in range(times):
            self.store.advance(run_id, attempt_n, outcomes=[outcome()], manifests=[manifest(run_id)])
        return "advanced"

    def close_run(self, run_id: str, attempt_n: int) -> str:
        self.store.close_run(run_id, attempt_n, status=RunStatus.COMPLETED, at=NOW)
        return "closed"

    def status(self, run_id: str) -> str:
        return self.store.get(run_id).status.value

    def work(self, name: str, runs: int) -> float:
        """Runs of three steps; how long they took together."""
        started = time.perf_counter()
        for number in range(runs):
            run_id = f"{name}-{number}"
            self.open_run(run_id, False)
            self.advance(run_id, 1, 2)
            self.store.close_run(run_id, 1, status=RunStatus.COMPLETED, at=NOW, outcomes=[outcome()])
        return time.perf_counter() - started

    def put(self, run_id: str, size: int) -> str:
        self.store.private.put(run_id, "output", "x" * size)
        return "put"

    def spill(self, run_id: str, size: int) -> int:
        return self.store.private.spill(run_id, "items", (b"x" * 1000 for _ in range(size // 1000)))

    def digest(self) -> str:
        return self.store.digester.value("same")

    def limit_file_size(self, size: int | None) -> str:
        """Beyond it, writing fails as on a full disk."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
        return "limited"

    def leave_a_child_behind(self) -> int:
        command = [sys.executable, "-c", "input()"]
        return subprocess.Popen(command, env=unmeasured(os.environ), stdin=subprocess.PIPE).pid

    def advance_in_a_fork(self, run_id: str) -> str:
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                self.advance(run_id, 1)
                os.write(writer, b"advanced")
            except StoreError as error:
                os.write(writer, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return os.read(reader, 10_000).decode()


def main() -> None:
    actions = Actions(Path(sys.argv[1]))
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        try:
            answer = getattr(actions, action)(*arguments)
        except StoreError as error:
            answer = {"error": type(error).__name__, "message": str(error), "cause": type(error.__cause__).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
