"""An operator in a process of its own: runs and resumes jobs of a project as it is told, one after the other."""

from __future__ import annotations

import json
import resource
import select
import signal
import sys
from pathlib import Path
from typing import Any

from lorchestra.errors import LorchestraError
from lorchestra.result import ExecutionResult
from lorchestra.schemas import Envelope
from lorchestra.workspace import Workspace
from tests.forked_python import TalkingPython


class Operator:
    def __init__(self, folder: Path) -> None:
        self._process = TalkingPython(__name__, str(folder))

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def send(self, action: str, *arguments: object) -> None:
        self._process.stdin.write(json.dumps([action, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        return json.loads(self._process.stdout.readline())

    def fileno(self) -> int:
        """Where its answers come, so that one can wait for the first of several."""
        return self._process.stdout.fileno()

    def ask(self, action: str, *arguments: object) -> Any:
        self.send(action, *arguments)
        return self.answer()


def first_to_answer(operators: list[Operator], *, within_s: float) -> Operator:
    ready, _, _ = select.select(operators, [], [], within_s)
    assert ready, "nobody answered"
    first: Operator = ready[0]
    return first


class _Actions:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def execute(self, job_id: str, payload: dict[str, Any]) -> dict[str, Any]:
        with self._workspace() as workspace:
            return _plain(workspace.execute(Envelope(job_id=job_id, payload=payload)))

    def execute_all(self, job_id: str, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self.execute(job_id, payload) for payload in payloads]

    def resume(self, run_id: str) -> dict[str, Any]:
        with self._workspace() as workspace:
            return _plain(workspace.resume(run_id))

    def limit_file_size(self, size: int | None) -> str:
        """Beyond it, writing fails as on a full disk."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
        return "limited"

    def _workspace(self) -> Workspace:
        return Workspace.open(start=self._folder, environ={})


def _plain(result: ExecutionResult) -> dict[str, Any]:
    return {"status": result.status, "run_id": result.run_id, "error": result.error}


def main() -> None:
    actions = _Actions(Path(sys.argv[1]))
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        try:
            answer = getattr(actions, action)(*arguments)
        except LorchestraError as error:
            answer = {"status": type(error).__name__, "error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
