"""`python -m module` by fork: a process that has all of lorchestra imported, and opened nothing, forks one for each.

Such a process has an environment, a folder, streams, signals and an end of its own, like any other; what it does not
do anew is to start Python and to import, which takes longer than most commands do. What depends on how Python starts
(its variables of the environment, the encoding of streams, one that is closed) is tested with `subprocess`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, NoReturn, Self

ROOT = Path(__file__).parents[1]

# What commands and services import, most of it late. `lorchestra.cli.main` is not among it, as it hides the function.
_IMPORTED = (
    *("google.cloud.bigquery", "httpx", "structlog", "uvicorn", "yaml", "lorchestra.api"),
    *(f"lorchestra.cli.{name}" for name in ("exec_", "jobs", "lazy_group", "mistakes", "runs", "storacle", "streams")),
    *(f"lorchestra.storacle.{name}" for name in ("checkup", "data_service", "http_server", "transports.http")),
    *(f"lorchestra.storacle.backends.{name}" for name in ("bigquery", "sqlite")),
    *(f"lorchestra.storacle.sql.{name}" for name in ("compilation", "functions")),
)
_WITH_STREAMS = b"!"
"""What the streams come with, in front of each order."""


def unmeasured(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process whose coverage nobody counts: what it runs, measured tests run as well."""
    return {name: value for name, value in environ.items() if not name.startswith("COV")}


class ForkedPython:
    """A process that runs a module, and may be asked what a `Popen` is asked."""

    def __init__(
        self,
        *arguments: str,
        streams: Sequence[int],
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        umask: int = -1,
        strict: bool = False,
    ) -> None:
        """The first argument names the module. The streams are its input, its output and its errors; here they stay
        open as well. With `strict`, warnings are errors.
        """
        self.returncode: int | None = None
        self._alive, held = os.pipe()
        order = {
            "arguments": arguments,
            "cwd": str(cwd or Path.cwd()),
            "environ": dict(os.environ if environ is None else environ),
            "umask": umask,
            "strict": strict,
        }
        try:
            self.pid: int = _parent().ask(order, [*streams, held])
        finally:
            os.close(held)

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        if self._ended_within(timeout) is None or self.returncode is None:
            raise subprocess.TimeoutExpired("a forked Python", timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """At once, if it has not ended yet."""
        self.kill()
        self.wait()

    def _ended_within(self, seconds: float | None) -> int | None:
        # The process alone holds the other end, which is closed when it has ended, however it did.
        if self.returncode is None and select.select([self._alive], [], [], seconds)[0]:
            os.close(self._alive)
            self.returncode = _parent().ask({"wait": self.pid})
        return self.returncode


class TalkingPython(ForkedPython):
    """One whose standard input and output are in the hands of who started it."""

    def __init__(
        self,
        *arguments: str,
        errors: int = 2,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        umask: int = -1,
        strict: bool = True,
    ) -> None:
        their_input, ours = os.pipe()
        self.stdin = os.fdopen(ours, "w")
        ours, their_output = os.pipe()
        self.stdout = os.fdopen(ours)
        try:
            streams = (their_input, their_output, errors)
            super().__init__(*arguments, streams=streams, cwd=cwd, environ=environ, umask=umask, strict=strict)
        finally:
            os.close(their_input)
            os.close(their_output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> str:
        """All that it still says until it ends."""
        said = self.stdout.read()
        self.wait()
        return said

    def close(self) -> None:
        """Nobody listens any more; wait for its end."""
        self.stdin.close()
        self.stdout.close()
        self.wait()


def run(
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float,
    strict: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """What `subprocess.run` does: all that the module says is captured."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        streams = [file.fileno() for file in (given, out, err)]
        process = ForkedPython(*arguments, streams=streams, cwd=cwd, environ=environ, strict=strict)
        try:
            code = process.wait(timeout)
        finally:
            process.end()
        # The streams share their places with those of the process.
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


class _Parent:
    """The process that forks, and waits for what it forked."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._answers = self._control.makefile("rb")
        self._one_at_a_time = Lock()
        # How Python starts is for those that are started.
        environ = {name: value for name, value in unmeasured(os.environ).items() if not name.startswith("PYTHON")}
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(number)],
                cwd=ROOT,
                env={**environ, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
            )
        atexit.register(self._end)

    def ask(self, order: Mapping[str, Any], streams: Sequence[int] = ()) -> Any:
        with self._one_at_a_time:
            socket.send_fds(self._control, [_WITH_STREAMS], streams)
            self._control.sendall(json.dumps(order).encode() + b"\n")
            answer = self._answers.readline()
        assert answer, "the process that forks has ended, and says above why"
        return json.loads(answer)

    def _end(self) -> None:
        self._answers.close()
        self._control.close()
        self._process.wait()


@cache
def _parent() -> _Parent:
    return _Parent()


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Answer orders until nobody gives them any more; in a forked process, the order that it is to carry out."""
    orders = control.makefile("rb")
    while True:
        beginning, streams, _, _ = socket.recv_fds(control, len(_WITH_STREAMS), 4)
        if not beginning:
            return None
        order: dict[str, Any] = json.loads(orders.readline())
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        elif (answer := os.fork()) == 0:
            orders.close()
            control.close()
            return {**order, "streams": streams}
        for stream in streams:
            os.close(stream)
        control.sendall(json.dumps(answer).encode() + b"\n")


def _become(order: Mapping[str, Any]) -> NoReturn:
    """What the forked process was ordered to be."""
    *streams, held = order["streams"]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.set_inheritable(held, False)
    os.environ.clear()
    os.environ.update(order["environ"])
    time.tzset()
    os.chdir(order["cwd"])
    if order["umask"] >= 0:
        os.umask(order["umask"])
    module, *arguments = order["arguments"]
    sys.path[0] = order["cwd"]
    sys.argv[1:] = arguments
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    if order["strict"]:
        warnings.simplefilter("error")
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    # As the command line sets it, before it imports what asks for it.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for module in _IMPORTED:
        import_module(module)
    # What is never freed is never copied by a fork either.
    gc.freeze()
    if order := _serve(control):
        _become(order)


if __name__ == "__main__":
    main()
