"""One run of a job at a time in a namespace, when its definition says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lorchestra.callable.context import CallableContext
from lorchestra.errors import JobBusy
from lorchestra.result import ExecutionResult
from lorchestra.schemas import JobDef, RunStatus
from lorchestra.supervision.cancellation import Cancellation
from tests.jobs import Gate, Lab, call, job, run_id_of, wait_until


class First:
    """A run of the job that is at work until it is let go, on a thread and with an executor of its own."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.gate = Gate()
        self.order: list[str] = []
        self.result: ExecutionResult | None = None
        self._thread: threading.Thread | None = None
        lab.register(fetch=self.fetch)

    def fetch(self, params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
        if not self.order:
            self.order.append("first begins")
            self.gate.wait()
            self.order.append("first ends")
        else:
            self.order.append("second")
        return {"items": []}

    def start(self, definition: JobDef) -> None:
        def run() -> None:
            self.result = self._lab.run(definition)

        self._thread = threading.Thread(target=run)
        self._thread.start()
        self.gate.wait_until_reached()

    def finish(self) -> None:
        self.gate.open()
        if self._thread is not None:
            self._thread.join()


@pytest.fixture
def first(lab: Lab) -> Iterator[First]:
    first = First(lab)
    yield first
    first.finish()
    assert first.result is not None
    assert first.result.success


def definition(concurrency: str | None = None) -> JobDef:
    return job(call("fetch"), **({} if concurrency is None else {"concurrency": concurrency}))


@pytest.mark.parametrize("concurrency", ["queue", None])
def test_a_queued_run_starts_when_the_one_before_it_has_ended(lab: Lab, first: First, concurrency: str | None) -> None:
    first.start(definition(concurrency))
    results: list[ExecutionResult] = []
    waiting = threading.Thread(target=lambda: results.append(lab.run(definition(concurrency))))
    waiting.start()
    wait_until(lambda: bool(lab.events("run.waiting")))

    first.finish()
    waiting.join()

    assert results[0].success
    assert first.order == ["first begins", "first ends", "second"]
    assert len(lab.events("run.waiting")) == 1


def test_a_run_that_is_to_be_skipped_leaves_no_trace(lab: Lab, first: First) -> None:
    first.start(definition("skip"))

    result = lab.run(definition("skip"), payload={"day": "monday"})

    assert (result.status, result.run_id, result.success) == ("skipped", None, False)
    assert len(lab.runs()) == 1


def test_a_run_that_is_to_fail_names_the_run_that_is_active(lab: Lab, first: First) -> None:
    first.start(definition("fail"))
    (active,) = lab.runs()

    with pytest.raises(JobBusy, match=f"is already running in namespace 'prod' as run {active.run_id}"):
        lab.run(definition("fail"))

    assert len(lab.runs()) == 1


def test_runs_that_are_allowed_side_by_side_do_not_wait(lab: Lab, first: First) -> None:
    first.start(definition("allow"))
    assert lab.run(definition("allow")).success
    assert first.order == ["first begins", "second"]


@pytest.mark.parametrize(("job_id", "smoke_namespace"), [("tidy", "trial"), ("other", None)])
def test_another_namespace_and_another_job_do_not_wait(
    lab: Lab, first: First, job_id: str, smoke_namespace: str | None
) -> None:
    first.start(definition("fail"))
    other = job(call("fetch"), job_id=job_id, concurrency="fail")
    assert lab.run(other, smoke_namespace=smoke_namespace).success
    assert first.order == ["first begins", "second"]


def test_a_resume_waits_for_another_run_of_the_job_too(lab: Lab, first: First) -> None:
    cancellation = Cancellation()
    cancellation.request("test")
    stopped = lab.run(definition(), cancellation=cancellation)
    first.start(definition())
    results: list[ExecutionResult] = []
    waiting = threading.Thread(target=lambda: results.append(lab.resume(stopped, definition())))
    waiting.start()
    wait_until(lambda: bool(lab.events("run.waiting")))

    first.finish()
    waiting.join()

    assert results[0].success
    assert first.order == ["first begins", "first ends", "second"]


@pytest.mark.parametrize("concurrency", ["fail", "skip"])
def test_a_resume_is_refused_or_left_out_beside_another_run_as_the_job_says(
    lab: Lab, first: First, concurrency: str
) -> None:
    cancellation = Cancellation()
    cancellation.request("test")
    stopped = lab.run(definition(concurrency), cancellation=cancellation)
    first.start(definition(concurrency))

    if concurrency == "fail":
        with pytest.raises(JobBusy):
            lab.resume(stopped, definition(concurrency))
    else:
        assert lab.resume(stopped, definition(concurrency)).status == "skipped"

    assert lab.store.get(run_id_of(stopped)).status is RunStatus.CANCELLED


def test_a_run_that_is_cancelled_while_it_waits_is_not_recorded(lab: Lab, first: First) -> None:
    first.start(definition())
    cancellation = Cancellation()
    results: list[ExecutionResult] = []
    waiting = threading.Thread(target=lambda: results.append(lab.run(definition(), cancellation=cancellation)))
    waiting.start()
    wait_until(lambda: bool(lab.events("run.waiting")))

    cancellation.request("test")
    waiting.join()

    assert (results[0].status, results[0].run_id) == (RunStatus.CANCELLED, None)
    assert results[0].error == "the run was cancelled (test)"
    assert len(lab.runs()) == 1


def test_one_executor_runs_jobs_from_several_threads(lab: Lab) -> None:
    lab.register(fetch=lambda params, context: {"items": [], "stats": {"run_id": context.run_id}})
    executor = lab.executor()
    results: list[ExecutionResult] = []
    allowed = definition("allow")
    threads = [threading.Thread(target=lambda: results.append(lab.run(allowed, executor=executor))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [result.status for result in results] == ["completed"] * 8
    assert len({run_id_of(result) for result in results}) == 8
