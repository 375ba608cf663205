"""The command line as a process that is told to stop, or killed: how it ends, and how its run goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.data_plane import rows_in
from tests.e2e.cli import DEADLINE_S, Finished, Project, clean_environment
from tests.forked_python import ForkedPython

# Each waits, in the midst of its items, until a file says that it may go on.
WAITING = """
import time
from pathlib import Path
from lorchestra.errors import LorchestraError

def execute(params, context):
    return {"items": items(Path(params["folder"]), context.token)}

def items(folder, token):
    yield {"idem_key": "first"}
    (folder / "reached").touch()
    while not (folder / "go").exists():
        %s
        time.sleep(0.005)
    yield {"idem_key": "last"}
"""
POLITE = WAITING % "token.check()"
DEAF = WAITING % "pass"
STUBBORN = (
    WAITING
    % """try:
            token.check()
        except LorchestraError:
            (folder / "told").touch()"""
)

STEPS = """
- {step_id: fetch, op: call, params: {callable: waiting, folder: '@payload.folder'}}
- step_id: plan
  op: plan.build
  params: {items: '@run.fetch.items', method: wal.append, dataset: raw, table: raw_objects, batch_size: 1}
- {step_id: write, op: storacle.submit, params: {plan: '@run.plan.plan'}}
"""
PARENT = "- {step_id: child, op: job.run, params: {job_id: visits, payload: {folder: '@payload.folder'}}}\n"


class Live:
    def __init__(self, project: Project, *arguments: str) -> None:
        files = project.root / f"{time.monotonic_ns()}"
        self._output_path, self._error_path = files.with_suffix(".out"), files.with_suffix(".err")
        with (
            Path(os.devnull).open() as nothing,
            self._output_path.open("wb") as out,
            self._error_path.open("wb") as err,
        ):
            self.process = ForkedPython(
                "lorchestra",
                *arguments,
                streams=(nothing.fileno(), out.fileno(), err.fileno()),
                cwd=project.root,
                environ=clean_environment(project.root, {}),
            )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not happened():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.005)

    def said(self) -> str:
        return self._error_path.read_text()

    def finish(self) -> Finished:
        code = self.process.wait(DEADLINE_S)
        assert "Traceback" not in self.said()
        return Finished(code=code, out=self._output_path.read_text(), err=self.said())

    def end(self) -> None:
        self.process.end()


class Scene:
    """A project whose job waits in the midst of its items."""

    def __init__(self, project: Project) -> None:
        self.project = project.job("visits", STEPS).job("month", PARENT).callable("waiting", POLITE)
        self.reached, self.go, self.told = (project.root / name for name in ("reached", "go", "told"))

    @contextmanager
    def running(self, job_id: str = "visits") -> Iterator[Live]:
        """A run that has come to where its job waits."""
        with self.started(job_id) as live:
            live.until(self.reached.exists)
            yield live

    @contextmanager
    def started(self, job_id: str = "visits") -> Iterator[Live]:
        live = Live(self.project, "exec", "job", job_id, "--payload", f"folder={self.project.root}")
        with ExitStack() as stack:
            stack.callback(live.end)
            yield live

    def statuses(self) -> list[str]:
        return sorted(f"{run.job_id} {run.status.value}" for run in self.project.runs())

    def resume(self) -> Finished:
        """What the operator does, now that nothing keeps the job from its end."""
        self.go.touch()
        (run,) = (run for run in self.project.runs() if run.parent_run_id is None)
        return self.project("runs", "resume", run.run_id)

    def rows(self) -> list[str]:
        data = self.project.root / ".lorchestra" / "data.db"
        return [row["idem_key"] for row in rows_in(data, "raw", "raw_objects")]

    def private_files(self) -> list[Path]:
        return list((self.project.root / ".lorchestra" / "private").rglob("*"))


@pytest.fixture
def scene(project: Project) -> Scene:
    return Scene(project)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_stop_is_cancelled_and_can_be_resumed(scene: Scene, number: int, code: int) -> None:
    with scene.running() as live:
        live.signal(number)
        stopped = live.finish()

    assert stopped.code == code
    assert scene.statuses() == ["visits cancelled"]
    assert "runs resume" in stopped.err
    scene.resume().require(0)
    assert scene.statuses() == ["visits completed"]
    assert scene.rows() == ["first", "last"]
    assert scene.private_files() == []


def test_a_child_run_is_cancelled_with_its_parent_and_resumed_with_it(scene: Scene) -> None:
    with scene.running("month") as live:
        live.signal(signal.SIGINT)
        assert live.finish().code == 130

    assert scene.statuses() == ["month cancelled", "visits cancelled"]
    scene.resume().require(0)
    assert scene.statuses() == ["month completed", "visits completed"]
    assert scene.rows() == ["first", "last"]


def test_a_callable_that_never_returns_does_not_keep_the_process(scene: Scene) -> None:
    scene.project.callable("waiting", DEAF)
    with scene.running() as live:
        live.signal(signal.SIGINT)
        assert live.finish().code == 130

    assert scene.statuses() == ["visits cancelled"]
    scene.resume().require(0)
    assert scene.rows() == ["first", "last"]


def test_a_second_interrupt_ends_the_process_at_once(scene: Scene) -> None:
    scene.project.callable("waiting", STUBBORN)
    with scene.running() as live:
        live.signal(signal.SIGINT)
        live.until(scene.told.exists)
        live.signal(signal.SIGINT)
        # A shell reads it as 130.
        assert live.finish().code == -signal.SIGINT

    assert scene.statuses() == ["visits interrupted"]
    scene.resume().require(0)
    assert scene.rows() == ["first", "last"]


def test_a_run_that_waits_for_another_can_be_told_to_stop_waiting(scene: Scene) -> None:
    with scene.running() as first, scene.started() as second:
        second.until(lambda: "run.waiting" in second.said())
        second.signal(signal.SIGINT)
        stopped = second.finish()

        assert stopped.code == 130
        assert scene.statuses() == ["visits running"]
        scene.go.touch()
        assert first.finish().code == 0
    assert scene.statuses() == ["visits completed"]
    assert scene.private_files() == []


def test_a_killed_run_is_listed_as_interrupted_and_the_job_goes_on_where_it_was(scene: Scene) -> None:
    with scene.running() as live:
        live.signal(signal.SIGKILL)
        assert live.finish().code == -signal.SIGKILL

    listed = scene.project("runs", "list", "--status", "interrupted").require(0)
    assert "visits" in listed.out
    assert "interrupted" in listed.out
    scene.go.touch()
    scene.project("exec", "job", "visits", "--resume").require(0)
    assert scene.statuses() == ["visits completed"]
    assert scene.rows() == ["first", "last"]
    assert scene.private_files() == []
