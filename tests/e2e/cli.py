"""The command line as a process, in a small project of its own."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorchestra.cli.main import run
from lorchestra.run_store import SqliteRunStore
from lorchestra.run_store.protocol import RunFilter
from lorchestra.schemas import RunRecord
from tests import forked_python

DEADLINE_S = 60

_KEPT = ("PATH", "TMPDIR", "SYSTEMROOT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def require(self, code: int) -> Finished:
        """Itself, when it ended so."""
        assert self.code == code, f"exit code {self.code}, not {code}\n--- out\n{self.out}\n--- err\n{self.err}"
        return self


def clean_environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Nothing that says anything to lorchestra; what measures the coverage of processes goes along."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("COV")}
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", "COLUMNS": "100", **extra}


def run_cli(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, stdin: bytes = b"") -> Finished:
    """The command line in a process, which is forked."""
    environ = clean_environment(cwd, environ or {})
    return _finished(
        forked_python.run("lorchestra", *arguments, cwd=cwd, environ=environ, stdin=stdin, timeout=DEADLINE_S)
    )


def start_and_run_cli(
    *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, stdout: int | None = subprocess.PIPE
) -> Finished:
    """The same in a process for which Python is started, for what depends on how it is."""
    done = subprocess.run(
        [sys.executable, "-m", "lorchestra", *arguments],
        cwd=cwd,
        env=clean_environment(cwd, environ or {}),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=DEADLINE_S,
        check=False,
    )
    return _finished(done)


def _finished(done: subprocess.CompletedProcess[bytes]) -> Finished:
    out = done.stdout.decode("utf-8") if done.stdout is not None else ""
    err = done.stderr.decode("utf-8")
    assert "Traceback (most recent call last)" not in out + err
    return Finished(code=done.returncode, out=out, err=err)


@contextmanager
def _process_put_back() -> Iterator[None]:
    """A command sets up the process that it has for itself; here it shares one with the tests."""
    top, ours = logging.getLogger(), logging.getLogger("lorchestra")
    logs = (list(top.handlers), top.level, ours.level)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
        top.handlers[:], top.level, ours.level = logs


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder; its methods write the files of one, and say what was recorded in it."""

    root: Path

    def __call__(self, *arguments: str, **how: Any) -> Finished:
        return run_cli(*arguments, cwd=how.pop("cwd", self.root), **how)

    def started(self, *arguments: str, **how: Any) -> Finished:
        return start_and_run_cli(*arguments, cwd=self.root, **how)

    def settings(self, text: str) -> Project:
        return self.write("lorchestra.yaml", text)

    def job(self, job_id: str, steps: str, *, head: str = "", folder: str = "jobs/definitions") -> Project:
        """A definition whose steps are lines of YAML, given without the dash's indentation."""
        text = f"job_id: {job_id.partition('@')[0]}\nversion: '2.0'\n{head}steps:\n{steps}"
        return self.write(f"{folder}/{job_id}.yaml", text)

    def callable(self, name: str, code: str) -> Project:
        return self.write(f"callables/{name}.py", code)

    def write(self, name: str, content: str | bytes) -> Project:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def inside(self, *arguments: str) -> Finished:
        """The same command line in this process, for breadth: no signals, no streams of its own."""
        out, err = io.StringIO(), io.StringIO()
        with _process_put_back(), chdir(self.root), redirect_stdout(out), redirect_stderr(err):
            code = run(list(arguments))
        assert "Traceback (most recent call last)" not in out.getvalue() + err.getvalue()
        return Finished(code=code, out=out.getvalue(), err=err.getvalue())

    def runs(self) -> tuple[RunRecord, ...]:
        """The runs as they are recorded, the newest first."""
        if not self.has_store():
            return ()
        store = SqliteRunStore(self.root / ".lorchestra")
        try:
            return store.list_runs(RunFilter(limit=1000))
        finally:
            store.close()

    def has_store(self) -> bool:
        return (self.root / ".lorchestra").exists()


THREE_STEPS = """
- step_id: fetch
  op: call
  params: {callable: people, count: '@payload.count'}
- step_id: persist
  op: plan.build
  params: {items: '@run.fetch.items', method: table.upsert, dataset: raw, table: people, key_columns: [idem_key]}
- step_id: write
  op: storacle.submit
  params: {plan: '@run.persist.plan'}
"""

PEOPLE = """
from lorchestra.items import Rejected


def execute(params):
    return {"items": people(params["count"]), "stats": {"asked_for": params["count"]}}


def people(count):
    if count < 0:
        raise ValueError(f"cannot make {count} people")
    for number in range(count):
        yield {"idem_key": f"person:{number}", "number": number}
    if count > 100:
        yield Rejected(idem_key="person:last", schema="person", pointer="/number", rule="maximum")
"""


def with_people(project: Project) -> Project:
    """A job `people` that writes so many rows: partial above 100, failed below 0."""
    return project.job("people", THREE_STEPS, head="description: Makes people up.\n").callable("people", PEOPLE)
