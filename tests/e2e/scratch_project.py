"""A project folder of its own, in which the blocks of a page are carried out as a reader would."""

from __future__ import annotations

import configparser
import contextlib
import io
import json
import logging
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
import tomllib
import warnings
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import yaml

from lorchestra.cli.main import run as run_command_line
from lorchestra.definitions import validation, yaml_source
from lorchestra.registry import JobRegistry
from lorchestra.schemas import JobDef, PipelineDef
from lorchestra.settings.model import SettingsFile
from tests import forked_python

from .pages import ROOT, Block

_ULID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?"), "<time>"),
    (re.compile(r"\b\d+\.\d{3} s\b"), "<seconds>"),
    (re.compile(r"\bhmac:[0-9a-f]+"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "<hash>"),
)
_KILLED = 137
_PROGRAMS = {
    "lorchestra": [sys.executable, "-m", "lorchestra"],
    "python": [sys.executable],
    "cat": ["cat"],
    # The recipe as it stands, with the environment that the tests have.
    "make": ["make", "--silent", f"--file={ROOT / 'Makefile'}", "READY=", f"BIN={Path(sys.executable).parent}"],
}


class ScratchProject:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}
        """For commands: with any, they run as processes."""
        self._scripts: list[tuple[str, str]] = []
        self._ids: dict[str, str] = {}
        """The run ids that a page shows, and those that stand for them here."""
        self.last_exit = 0
        self.output = ""

    def carry_out(self, block: Block) -> None:
        """Do what the block says. Raises AssertionError when that is not what the page says."""
        match block.language:
            case "console":
                self._console(block)
            case "yaml":
                self._yaml(block)
            case "python":
                self._python(block)
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "ini":
                # As units of systemd are: a key may stand there twice, and `%` means nothing here.
                configparser.RawConfigParser(strict=False).read_string(block.text)
            case "sh" | "text":
                pass
            case other:
                raise AssertionError(f"{block}: a block in '{other}'; say what it is")
        if block.file is not None:
            self.write(block.file, block.text)

    def finish(self) -> None:
        """Run the Python that stands in no file: as one program, in a process whose default registry is its own."""
        if self._scripts:
            scripts = json.dumps(self._scripts).encode()
            done = forked_python.run("tests.e2e.program", cwd=self.folder, stdin=scripts, timeout=60, strict=True)
            assert done.returncode == 0, done.stderr.decode()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    # Files

    def _yaml(self, block: Block) -> None:
        if "invalid" in block.words:
            # Shown for its mistakes, which the commands after it tell.
            return
        kind = block.file or " ".join(block.words)
        source = yaml_source.parse(block.text, file=str(block))
        if kind.endswith("lorchestra.yaml") or kind == "settings":
            validation.validate(SettingsFile, source)
        elif kind.startswith("pipelines/"):
            validation.validate(PipelineDef, source)
        elif kind.startswith("jobs/definitions/"):
            validation.validate(JobDef, source)
        elif kind == "steps":
            job_id = "example"
            text = yaml.safe_dump({"job_id": job_id, "version": "2.0", "steps": yaml.safe_load(block.text)})
            self.write(f".fragments/{job_id}.yaml", text)
            JobRegistry(self.folder / ".fragments").load(job_id)
        else:
            raise AssertionError(f"{block}: say what it is: a path, `settings` or `steps`")

    def _python(self, block: Block) -> None:
        compile(block.text, str(block), "exec")
        if block.file is None:
            self._scripts.append((str(block), block.text))
        elif Path(block.file).name.startswith("test_"):
            self.write(block.file, block.text)
            with self._here():
                module = runpy.run_path(block.file)
                tests = [value for name, value in module.items() if name.startswith("test_")]
                assert tests, f"{block}: no test"
                for test in tests:
                    test()

    # Commands

    def _console(self, block: Block) -> None:
        transcript = list(_commands(block.text))
        following = [command for command, _ in transcript[1:]]
        for (command, expected), then in zip_longest(transcript, following):
            said = "\n".join(expected)
            if command == "echo $?":
                assert str(self.last_exit) == said, f"{block}: `{command}` says {self.last_exit}"
                continue
            self.last_exit = self.run(command)
            self._learn_ids(said)
            self._compare(block, command, said)
            if then != "echo $?":
                assert self.last_exit == 0, f"{block}: `{command}` ended with {self.last_exit}:\n{self.output}"

    def run(self, command: str) -> int:
        """The exit code of a command line; what it printed, on both streams, is in `output`."""
        for shown, real in self._ids.items():
            # A page may cut an id short, as a reader may.
            command = re.sub(rf"\b{shown[:8]}[0-9A-Z]*\b", real, command)
        words = shlex.split(command, comments=True)
        given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        name, *arguments = words[len(given) :]
        environ = {**self.environ, **given}
        # What make runs is measured elsewhere, and takes twice as long when it is.
        inherited = {key: value for key, value in os.environ.items() if name != "make" or not key.startswith("COV")}
        if name == "lorchestra" and not environ:
            return self._run_here(arguments)
        program = _PROGRAMS.get(name)
        assert program, f"nobody knows how to run `{command}` here"
        done = subprocess.run(
            [*program, *arguments],
            cwd=self.folder,
            env={**inherited, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.output = done.stdout + done.stderr
        return _KILLED if done.returncode == -9 else done.returncode

    def _run_here(self, arguments: list[str]) -> int:
        printed = io.StringIO()
        with self._here(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = run_command_line(arguments)
        self.output = printed.getvalue()
        return code

    def _learn_ids(self, said: str) -> None:
        real = [one for one in dict.fromkeys(_ULID.findall(self.output)) if one not in self._ids.values()]
        shown = [one for one in dict.fromkeys(_ULID.findall(said)) if one not in self._ids]
        self._ids.update(zip(shown, real, strict=False))

    def _compare(self, block: Block, command: str, said: str) -> None:
        """Every line shown comes, in this order; the page may leave lines out, and parts of lines as `...`."""
        for shown, real in self._ids.items():
            said = said.replace(shown, real)
        lines = iter(_plain(self.output, self.folder))
        for expected in _plain(said, self.folder):
            if expected == "...":
                continue
            pattern = ".*".join(map(re.escape, expected.split("...")))
            assert any(re.fullmatch(pattern, line) for line in lines), (
                f"{block}: `{command}` did not print, at its place: {expected}\nIt printed:\n{self.output}"
            )

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """Inside the project; whatever a command changes in this process is put back."""
        root = logging.getLogger()
        ours = logging.getLogger("lorchestra")
        logs = (list(root.handlers), root.level, ours.level)
        hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
        modules, path, folder = set(sys.modules), list(sys.path), Path.cwd()
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        try:
            yield
        finally:
            os.chdir(folder)
            sys.path[:] = path
            for name in set(sys.modules) - modules:
                if name.partition(".")[0] in ("callables", "jobs", "_lorchestra_callable"):
                    del sys.modules[name]
            root.handlers[:] = logs[0]
            root.setLevel(logs[1])
            ours.setLevel(logs[2])
            sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a transcript, and the lines shown after it."""
    command: str | None = None
    shown: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, shown
            command, shown = line.removeprefix("$ "), []
        elif command is not None and command.endswith("\\"):
            command = f"{command[:-1].rstrip()} {line.strip()}"
        else:
            shown.append(line)
    assert command is not None, "a transcript without a command"
    yield command, shown


def _plain(text: str, folder: Path) -> list[str]:
    """The lines without what differs from run to run: times, hashes, the place of the project, the width of columns."""
    text = text.replace(str(folder.resolve()), "/home/me/clinic").replace(str(folder), "/home/me/clinic")
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
