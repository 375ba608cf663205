"""Workers by fork: a process that has all of lorchestra imported, and opened nothing, forks one for each order.

A fork is a process like any other: killed, it loses all it had, and its locks with it. But it starts in a millisecond,
so each of some hundred places can have a process of its own that dies there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorchestra import settings
from lorchestra.schemas import Envelope
from lorchestra.storacle.sql import compilation, functions
from lorchestra.storacle.transports import InProcessTransport
from tests.data_plane import DataPlane
from tests.forked_python import unmeasured
from tests.integration import plan_process
from tests.integration.crash import service_process
from tests.integration.crash.killing import Events, FineEvents, KillingWorkspace
from tests.integration.crash.project import Project

# What a service imports late, and each fork would import anew.
_ALSO_IMPORTED = (compilation, functions)


@dataclass(frozen=True, slots=True)
class Worked:
    """How a worker ended: killed by a signal, or with a status or an error; or that it stopped, and who it is."""

    signal: int = 0
    stopped: int = 0
    status: str = ""
    error: str = ""
    trace: str = ""
    events: tuple[str, ...] = ()


class Forks:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", __name__],
            env=unmeasured(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def execute(self, project: Project, job_id: str, **order: Any) -> Worked:
        return Worked(**self._ask(folder=str(project.folder), job_id=job_id, **order))

    def resume(self, project: Project, run_id: str, **order: Any) -> Worked:
        return Worked(**self._ask(folder=str(project.folder), run_id=run_id, **order))

    def send_plan(self, path: Path, **order: Any) -> Worked:
        """Send the plan of `plan_process` to a data file."""
        return Worked(**self._ask(plan_to=str(path), **order))

    def wake(self, pid: int) -> Worked:
        """Let a worker that stopped go on to its end."""
        return Worked(**self._ask(wake=pid))

    def serve(self, project: Project, socket: Path) -> int:
        """Start a storacle over the project's data; the id of its process."""
        pid: int = self._ask(folder=str(project.folder), serve=str(socket))["pid"]
        return pid

    def _ask(self, **order: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _work(order: dict[str, Any]) -> dict[str, Any]:
    """Run or resume a job as an operator would, from the project's folder."""
    project = Project(Path(order["folder"]))
    places = {name: order.get(name) for name in ("kill_at", "stop_at")}
    is_fine = order.get("net") == "statements"
    events = FineEvents(project.run_folder, project.data.parent, **places) if is_fine else Events(**places)
    events.watch_process()
    transport = (
        service_process.SocketTransport(Path(order["socket"]))
        if "socket" in order
        else InProcessTransport(DataPlane(project.data))
    )
    loaded = settings.load(start=project.folder, file=None, profile=None, environ={})
    is_impatient = order.get("is_impatient", False)
    with KillingWorkspace(loaded, events=events, transport=transport, is_impatient=is_impatient) as workspace:
        if "run_id" in order:
            result = workspace.resume(order["run_id"])
        else:
            result = workspace.execute(Envelope(job_id=order["job_id"], payload={"day": "2026-11-20"}))
    return {"status": result.status, "error": result.error or "", "events": events.names}


def _send_plan(order: dict[str, Any]) -> dict[str, Any]:
    path = Path(order["plan_to"])
    events = FineEvents(path.parent, kill_at=order.get("kill_at"), stop_at=order.get("stop_at"))
    events.watch_process()
    plan_process.send(path, plan_process.mixed_plan(order["seed"], order["ops"]))
    return {"events": events.names}


def _answer(order: dict[str, Any]) -> dict[str, Any]:
    try:
        return _send_plan(order) if "plan_to" in order else _work(order)
    except BaseException as error:  # noqa: BLE001  (handed to the test, which shows it)
        return {"error": type(error).__name__, "trace": traceback.format_exc()}


class _Workers:
    def __init__(self) -> None:
        self._readers: dict[int, int] = {}

    def start(self, order: dict[str, Any]) -> dict[str, Any]:
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            with os.fdopen(writer, "w") as answer:
                json.dump(_answer(order), answer)
            os._exit(0)
        os.close(writer)
        self._readers[pid] = reader
        return self._wait(pid)

    def wake(self, pid: int) -> dict[str, Any]:
        os.kill(pid, signal.SIGCONT)
        return self._wait(pid)

    def end(self) -> None:
        """Those that were stopped, and never woken, would stay for ever."""
        for pid in self._readers:
            os.kill(pid, signal.SIGKILL)

    def _wait(self, pid: int) -> dict[str, Any]:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return {"stopped": pid}
        with os.fdopen(self._readers.pop(pid)) as answer:
            text = answer.read()
        return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, **(json.loads(text) if text else {})}


def _serve(order: dict[str, Any]) -> dict[str, Any]:
    # Bound before the fork, so that whoever is told of the service finds it listening.
    listener = service_process.listen(Path(order["serve"]))
    if (pid := os.fork()) == 0:
        os.close(sys.stdout.fileno())
        service_process.serve(listener, Project(Path(order["folder"])).data)
    listener.close()
    return {"pid": pid}


def main() -> None:
    workers = _Workers()
    for line in sys.stdin:
        match order := json.loads(line):
            case {"serve": _}:
                answer = _serve(order)
            case {"wake": pid}:
                answer = workers.wake(pid)
            case _:
                answer = workers.start(order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    workers.end()


if __name__ == "__main__":
    main()
