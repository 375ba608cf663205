"""A project whose runs are full of canaries, and everything its commands leave behind."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from lorchestra.cli.main import run as run_command_line
from tests.data_plane import rows_in
from tests.forked_python import ForkedPython

from . import canary

_CONTENT = Path(__file__).with_name("content")
_PATIENCE_S = 120


@dataclass(frozen=True)
class Ended:
    command: str
    code: int
    out: bytes
    err: bytes

    @property
    def printed(self) -> dict[str, bytes]:
        return {f"stdout of {self.command}": self.out, f"stderr of {self.command}": self.err}

    def __str__(self) -> str:
        return f"{self.command}: {self.code}\n{self.out.decode()}\n{self.err.decode()}"


@dataclass(frozen=True)
class Started:
    command: str
    process: ForkedPython
    out: IO[bytes]
    err: IO[bytes]

    def ended(self) -> Ended:
        code = self.process.wait(_PATIENCE_S)
        self.out.seek(0)
        self.err.seek(0)
        return Ended(self.command, code, self.out.read(), self.err.read())


class Project:
    """The folder of the project, and beside it a temporary folder, a home, and what the operator keeps elsewhere."""

    def __init__(
        self, base: Path, *, llm: str = "http://127.0.0.1:9", settings: Mapping[str, Any] | None = None
    ) -> None:
        self.root = base / "project"
        self.elsewhere = base / "elsewhere"
        self._temporary = base / "tmp"
        self._home = base / "home"
        for folder in (self.root, self.elsewhere, self._temporary, self._home):
            folder.mkdir()
        shutil.copytree(_CONTENT / "callables", self.root / "callables", ignore=shutil.ignore_patterns("__pycache__"))
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LORCHESTRA_")},
            "TMPDIR": str(self._temporary),
            "HOME": str(self._home),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        (self.elsewhere / "key").write_text(canary.of("secret-file")["word"])
        self.environ["LLM_KEY"] = canary.of("secret-env")["word"]
        llm_settings = {
            "base_url": llm,
            "model": "stand-in",
            "api_key": "env:LLM_KEY",
            "timeout_s": 10,
            "retries": {"max_retries": 1, "initial_delay_seconds": 0.01},
        }
        chosen = {
            "llm": llm_settings,
            "profiles": {"file": {"llm": {"api_key": f"file:{self.elsewhere / 'key'}"}}},
        }
        (self.root / "lorchestra.yaml").write_text(json.dumps(chosen))

    # What the author writes

    def job(self, job_id: str, *steps: Mapping[str, Any], **fields: Any) -> None:
        path = self.root / "jobs" / "definitions" / f"{job_id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"job_id": job_id, "version": "2.0", "steps": steps, **fields}))

    def callable(self, name: str, source: str) -> None:
        (self.root / "callables" / f"{name}.py").write_text(source, encoding="utf-8")

    def keep(self, name: str, value: Any) -> str:
        """A file outside of the project, as an argument that names it."""
        path = self.elsewhere / name
        path.write_text(json.dumps(value), encoding="utf-8")
        return f"@{path}"

    # What the operator does

    def run(self, *arguments: str, umask: int = -1) -> Ended:
        with self.started(*arguments, umask=umask) as process:
            return process.ended()

    @contextlib.contextmanager
    def started(self, *arguments: str, umask: int = -1) -> Iterator[Started]:
        with Path(os.devnull).open() as nothing, TemporaryFile() as out, TemporaryFile() as err:
            streams = [file.fileno() for file in (nothing, out, err)]
            process = ForkedPython(
                "lorchestra", *arguments, streams=streams, cwd=self.root, environ=self.environ, umask=umask
            )
            try:
                yield Started(_named(arguments), process, out, err)
            finally:
                process.end()

    def run_python(self, program: str, *arguments: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        return Ended("the program", done.returncode, done.stdout, done.stderr)

    def run_here(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Ended:
        """The same in this process, which is a second cheaper; whatever the command changes in it is put back."""
        out, err = io.StringIO(), io.StringIO()
        with self.inside(environ), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command_line(list(arguments))
        printed = (text.getvalue().encode(errors="backslashreplace") for text in (out, err))
        return Ended(_named(arguments), code, *printed)

    @contextlib.contextmanager
    def inside(self, environ: Mapping[str, str] | None = None) -> Iterator[None]:
        """This process is one that was started in the project."""
        top, ours = logging.getLogger(), logging.getLogger("lorchestra")
        logs = (list(top.handlers), top.level, ours.level)
        hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
        before, folder = dict(os.environ), Path.cwd()
        os.environ.update({**self.environ, **(environ or {})})
        os.chdir(self.root)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)
            top.handlers[:] = logs[0]
            top.setLevel(logs[1])
            ours.setLevel(logs[2])
            sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks

    # What is left behind

    @property
    def private(self) -> Path:
        return self.root / ".lorchestra" / "private"

    @property
    def data(self) -> dict[str, bytes]:
        """What is on disk of the data that the jobs wrote."""
        return {path.name: path.read_bytes() for path in self._data_files()}

    def _data_files(self) -> tuple[Path, ...]:
        return tuple((self.root / ".lorchestra").glob("data.db*"))

    def known(self) -> dict[str, bytes]:
        """What the commands about runs print, for people and for machines."""
        listed = self.run_here("runs", "list", "--json")
        ids = [run["run_id"] for run in json.loads(listed.out)]
        shown = [self.run_here("runs", "show", run_id, *as_json) for run_id in ids for as_json in ((), ("--json",))]
        assert all(one.code == 0 for one in (listed, *shown))
        return {where: text for one in (listed, *shown) for where, text in one.printed.items()}

    def rows(self, dataset: str, table: str) -> list[dict[str, Any]]:
        return rows_in(self.root / ".lorchestra" / "data.db", dataset, table)

    def left(self, *, but: Sequence[Path] = ()) -> dict[str, bytes]:
        """Every file of the project, the temporary folder and the home, but what the author wrote and the data."""
        authored = [self.root / name for name in ("callables", "jobs", "lorchestra.yaml")]
        spared = [*authored, *self._data_files(), *but]
        return {
            str(path.relative_to(self.root.parent)): path.read_bytes() if path.is_file() else b""
            for folder in (self.root, self._temporary, self._home)
            for path in folder.rglob("*")
            if not any(path.is_relative_to(one) for one in spared)
        }


def _named(arguments: Sequence[str]) -> str:
    """The command without the values it is given, which are looked for in all that is named here."""
    kept = [
        one for before, one in zip(("", *arguments), arguments, strict=False) if before not in ("--payload", "--ctx")
    ]
    return " ".join(kept)
