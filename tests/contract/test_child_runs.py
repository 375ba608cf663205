"""`job.run`: a job as a step of another, in a run of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lorchestra.callable.context import CallableContext
from lorchestra.clock import child_run_id
from lorchestra.errors import JobNotFoundError, PermanentError, StoreError
from lorchestra.handlers import HandlerRegistry, StepAnswer, StepRequest
from lorchestra.handlers.orchestration import OrchestrationHandler, RecursiveJob
from lorchestra.items import Rejected
from lorchestra.registry import JobRegistry
from lorchestra.result import ExecutionResult
from lorchestra.schemas import Backend, JobStepInstance, RunRecord, RunStatus
from lorchestra.supervision.cancellation import Cancellation
from tests.jobs import (
    TICK_S,
    Lab,
    call,
    chain,
    job,
    keeping,
    keys,
    outcomes,
    retry,
    run_id_of,
    run_job,
    statuses,
    visits,
    write,
)

CHILD = job(call("fetch"), *write("fetch"), job_id="child")
PARENT = job(run_job("sub", "child"), job_id="parent")


class Service:
    """What the child's callable works with: it may be out of order."""

    def __init__(self, lab: Lab, *, is_broken: bool = False) -> None:
        self.is_broken = is_broken
        self.calls = 0
        lab.register(fetch=self.fetch)

    def fetch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        if self.is_broken:
            raise PermanentError("out of order")
        return {"items": visits(params.get("count", 3)), "stats": {"seen": params.get("count", 3)}}


def child_of(lab: Lab, parent: ExecutionResult, step_id: str = "sub") -> RunRecord:
    return lab.store.get(child_run_id(run_id_of(parent), step_id))


# A run of its own


def test_a_child_run_is_linked_to_its_parent_and_has_an_id_that_follows_from_it(lab: Lab) -> None:
    Service(lab)
    lab.define(CHILD)

    result = lab.run(PARENT)

    child = child_of(lab, result)
    assert result.status == RunStatus.COMPLETED
    assert (child.parent_run_id, child.parent_step_id, child.status) == (result.run_id, "sub", RunStatus.COMPLETED)
    assert [record.run_id for record in lab.runs(parent_run_id=result.run_id)] == [child.run_id]
    assert outcomes(result)["sub"].detail == {"child_run_id": child.run_id, "child_status": "completed"}
    assert lab.rows() == keys(visits(3))


def test_the_outputs_of_a_child_reach_the_steps_after_it(lab: Lab) -> None:
    Service(lab)
    given: list[Any] = []

    def receive(params: Mapping[str, Any]) -> dict[str, Any]:
        given.append((params["seen"], params["applied"], params["run_id"], params["status"]))
        return {"items": []}

    lab.register(receive=receive)
    lab.define(CHILD)
    receiver = call(
        "receive",
        params={
            "seen": "@run.sub.outputs.fetch.stats.seen",
            "applied": "@run.sub.outputs.fetch_write.applied",
            "run_id": "@run.sub.run_id",
            "status": "@run.sub.status",
        },
    )
    result = lab.run(job(run_job("sub", "child"), receiver, job_id="parent"))

    assert given == [(3, 2, child_of(lab, result).run_id, "completed")]


def test_a_child_is_given_the_payload_and_the_namespace(lab: Lab) -> None:
    Service(lab)
    lab.define(job(call("fetch", params={"count": "@payload.count"}), *write("fetch"), job_id="child"))
    parent = job(run_job("sub", "child", payload={"count": "@payload.visits"}), job_id="parent")

    result = lab.run(parent, payload={"visits": 5}, smoke_namespace="trial")

    assert child_of(lab, result).namespace == "smoke_trial"
    assert (lab.rows(namespace="smoke_trial"), lab.rows()) == (keys(visits(5)), [])


def test_a_child_may_be_an_older_version(lab: Lab) -> None:
    service = Service(lab, is_broken=True)
    lab.define(job(call("fetch"), job_id="child", version="2.1"))
    lab.register(calm=lambda params: {"items": []})
    lab.define(job(call("calm"), job_id="child"), older=True)

    result = lab.run(job(run_job("sub", "child", version="2.0"), job_id="parent"))

    assert (result.success, service.calls, child_of(lab, result).job_version) == (True, 0, "2.0")


def test_a_partial_child_makes_its_parent_partial(lab: Lab) -> None:
    rejected = Rejected(idem_key="visit:900", schema="visit", pointer="/minutes", rule="minimum")
    lab.register(fetch=lambda params: {"items": [*visits(1), rejected]})
    lab.define(CHILD)

    result = lab.run(PARENT)

    assert result.status == RunStatus.PARTIAL
    assert statuses(result) == {"sub": "completed"}
    assert outcomes(result)["sub"].detail["child_status"] == "partial"


def test_a_failed_child_fails_the_step_which_names_run_and_job(lab: Lab) -> None:
    service = Service(lab, is_broken=True)
    lab.define(CHILD)

    result = lab.run(job(run_job("sub", "child", retry=retry(3)), job_id="parent"))

    child = child_of(lab, result)
    error = outcomes(result)["sub"].error
    assert (result.status, child.status, service.calls) == (RunStatus.FAILED, RunStatus.FAILED, 1)
    assert error is not None
    assert f"the child run {child.run_id} of job 'child' ended as failed" in (error.message or "")
    assert chain(error)[0].endswith("ChildFailed")


def test_two_steps_that_run_the_same_job_have_a_child_each(lab: Lab) -> None:
    service = Service(lab)
    lab.define(CHILD)
    result = lab.run(job(run_job("one", "child"), run_job("two", "child"), job_id="parent"))
    assert result.success
    assert child_of(lab, result, "one").run_id != child_of(lab, result, "two").run_id
    assert service.calls == 2


def test_a_child_of_a_child_is_run_too(lab: Lab) -> None:
    Service(lab)
    lab.define(CHILD, PARENT)
    result = lab.run(job(run_job("top", "parent"), job_id="grandparent"))
    middle = child_of(lab, result, "top")
    assert lab.store.get(child_run_id(middle.run_id, "sub")).parent_run_id == middle.run_id
    assert lab.rows() == keys(visits(3))


# What can never work is refused before anything runs


@pytest.mark.parametrize(
    ("jobs", "path"),
    [
        ([job(run_job("again", "top"), job_id="top")], "top -> top"),
        (
            [job(run_job("down", "middle"), job_id="top"), job(run_job("up", "top"), job_id="middle")],
            "top -> middle -> top",
        ),
        (
            [
                job(run_job("down", "middle"), job_id="top"),
                job(run_job("down", "low"), job_id="middle"),
                job(run_job("up", "middle"), job_id="low"),
            ],
            "top -> middle -> low -> middle",
        ),
    ],
)
def test_jobs_that_run_each_other_are_refused_with_their_path_before_anything_runs(
    lab: Lab, jobs: list[Any], path: str
) -> None:
    lab.define(*jobs)
    with pytest.raises(RecursiveJob, match=f"{path};"):
        lab.run(jobs[0])
    assert lab.runs() == ()


def test_a_circle_through_an_older_version_is_a_circle_too(lab: Lab) -> None:
    top = job(run_job("down", "middle"), job_id="top", version="2.1")
    lab.define(top, job(run_job("up", "top", version="2.0"), job_id="middle"))
    lab.define(job(call("fetch"), job_id="top"), older=True)

    with pytest.raises(RecursiveJob, match="top -> middle -> top"):
        lab.run(top)

    assert lab.runs() == ()


def test_a_definition_that_changes_into_a_circle_is_refused_when_it_is_run(lab: Lab) -> None:
    Service(lab)
    lab.define(CHILD)
    circle = job(run_job("up", "parent"), job_id="child")

    def change(params: Mapping[str, Any]) -> dict[str, Any]:
        lab.define(circle, PARENT)
        return {"items": []}

    lab.register(change=change)

    result = lab.run(job(call("change"), run_job("sub", "child"), job_id="parent"))

    assert statuses(result) == {"change": "completed", "sub": "failed"}
    assert "parent -> child -> parent" in (result.error or "")
    assert lab.service.effects == 0


def test_an_unknown_child_is_refused_before_anything_runs(lab: Lab) -> None:
    lab.define(CHILD)
    with pytest.raises(JobNotFoundError, match="did you mean 'child'"):
        lab.run(job(run_job("sub", "childd"), job_id="parent"))
    assert lab.runs() == ()


def test_a_payload_that_is_no_object_fails_the_step_without_showing_it(lab: Lab) -> None:
    Service(lab)
    lab.define(CHILD)

    result = lab.run(
        job(run_job("sub", "child", payload="@payload.text"), job_id="parent"), payload={"text": "canary-6"}
    )

    assert statuses(result) == {"sub": "failed"}
    assert "step 'sub': 'payload' is not what a job takes" in (result.error or "")
    assert "canary-6" not in str(lab.store.get(run_id_of(result)))


# Private values


def private_names(lab: Lab, run_id: str) -> set[str]:
    found = set()
    for name in ("envelope", "outputs", "fetch.output", "sub.output"):
        try:
            lab.store.private.get(run_id, name)
        except StoreError:
            continue
        found.add(name)
    return found


def test_the_private_values_of_children_are_removed_when_the_parent_completes(lab: Lab) -> None:
    Service(lab)
    seen: list[set[str]] = []

    def look(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
        child = child_run_id(context.run_id, "sub")
        seen.append(private_names(lab, child))
        return {"items": []}

    lab.register(look=look)
    lab.define(job(call("fetch", params={"count": "@payload.count"}), job_id="child"))
    parent = job(run_job("sub", "child", payload={"count": 2}), call("look"), job_id="parent")

    result = lab.run(parent)

    assert seen == [{"envelope", "outputs", "fetch.output"}]
    assert private_names(lab, child_of(lab, result).run_id) == set()


# Resume


def test_resuming_a_parent_resumes_the_child_that_failed(lab: Lab) -> None:
    service = Service(lab, is_broken=True)
    lab.register(before=lambda params: {"items": [], "stats": {"seen": 1}})
    lab.define(job(call("before"), call("fetch"), *write("fetch"), job_id="child"))
    given: list[Any] = []
    lab.register(receive=keeping(given, "seen"))
    receiver = call("receive", params={"seen": "@run.sub.outputs.before.stats.seen"})
    parent = job(run_job("sub", "child"), receiver, job_id="parent")
    failed = lab.run(parent)
    service.is_broken = False

    result = lab.resume(failed, parent)

    child = child_of(lab, result)
    assert result.status == RunStatus.COMPLETED
    assert [attempt.status for attempt in child.attempts] == ["failed", "completed"]
    assert [outcome.step_id for outcome in child.attempts[1].step_outcomes] == ["fetch", "fetch_plan", "fetch_write"]
    assert given == [1]
    assert lab.service.effects == 2


class DiesAfterItsChild:
    """A handler whose process is killed when its child has ended, before the parent hears of it: once."""

    def __init__(self, inner: OrchestrationHandler, lab: Lab) -> None:
        self._inner = inner
        self._lab = lab
        self.is_killed = False

    def check(self, step: JobStepInstance, lineage: tuple[str, ...] = ()) -> None:
        self._inner.check(step, lineage)

    def execute(self, request: StepRequest) -> StepAnswer:
        answer = self._inner.execute(request)
        if not self.is_killed:
            self.is_killed = True
            # As a process that takes the run for interrupted finds it: nothing more of it is recorded.
            record = self._lab.store.get(request.run_id)
            self._lab.store.close_run(record.run_id, 1, status=RunStatus.INTERRUPTED, at=record.started_at)
        return answer


def test_a_parent_that_was_killed_after_its_child_had_ended_takes_what_the_child_gave(lab: Lab) -> None:
    service = Service(lab)
    lab.define(CHILD)
    assert lab.definitions is not None
    handler = DiesAfterItsChild(OrchestrationHandler(JobRegistry(lab.definitions)), lab)
    given: list[Any] = []
    lab.register(receive=keeping(given, "seen"))
    executor = lab.executor(handlers=HandlerRegistry({Backend.ORCHESTRATION: handler}))
    receiver = call("receive", params={"seen": "@run.sub.outputs.fetch.stats.seen"})
    parent = job(run_job("sub", "child"), receiver, job_id="parent")
    with pytest.raises(StoreError, match="may write no more"):
        lab.run(parent, executor=executor)
    (killed,) = lab.runs(job_id="parent")

    result = lab.resume(killed.run_id, parent, executor=executor)

    assert result.status == RunStatus.COMPLETED
    assert given == [3]
    assert (service.calls, len(child_of(lab, result).attempts), lab.service.effects) == (1, 1, 2)


# Time and cancellation


def test_cancelling_a_parent_cancels_its_child_and_both_go_on_with_a_resume(lab: Lab) -> None:
    cancellation = Cancellation()
    tries: list[int] = []

    def fetch(context: CallableContext) -> Iterator[dict[str, Any]]:
        tries.append(1)
        yield from visits(2)
        if len(tries) == 1:
            cancellation.request("test")
            pause = threading.Event()
            while True:
                context.token.check()
                pause.wait(TICK_S / 50)
        yield from visits(2, first=2)

    lab.register(fetch=lambda params, context: {"items": fetch(context)})
    lab.define(CHILD)

    result = lab.run(PARENT, cancellation=cancellation)

    assert (result.status, child_of(lab, result).status) == (RunStatus.CANCELLED, RunStatus.CANCELLED)
    resumed = lab.resume(result, PARENT)
    assert (resumed.status, child_of(lab, resumed).status) == (RunStatus.COMPLETED, RunStatus.COMPLETED)
    assert lab.rows() == keys(visits(4))
    assert lab.service.effects == 2


def test_a_child_that_makes_progress_keeps_the_step_of_its_parent_alive(lab: Lab) -> None:
    pause = threading.Event()

    def fetch() -> Iterator[dict[str, Any]]:
        for visit in visits(9):
            pause.wait(TICK_S * 2)
            yield visit

    lab.register(fetch=lambda params: {"items": fetch()})
    lab.define(job(call("fetch"), job_id="child"))

    assert lab.run(job(run_job("sub", "child", timeout_s=0.8), job_id="parent")).success


def test_a_child_without_progress_ends_with_the_step_of_its_parent_and_a_retry_takes_it_up(lab: Lab) -> None:
    never, tries = threading.Event(), []

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            never.wait()
        return {"items": visits(2)}

    lab.register(fetch=fetch)
    lab.define(CHILD)
    parent = job(run_job("sub", "child", timeout_s=0.3, retry=retry(1)), job_id="parent")

    result = lab.run(parent)
    never.set()

    assert result.status == RunStatus.COMPLETED
    assert chain(outcomes(result)["sub"].errors[0]) == ["lorchestra.errors.StepTimeout"]
    assert [attempt.status for attempt in child_of(lab, result).attempts] == ["failed", "completed"]
    assert lab.rows() == keys(visits(2))


def test_a_child_that_is_abandoned_for_good_is_closed(lab: Lab) -> None:
    never = threading.Event()
    lab.register(fetch=lambda params: never.wait())
    lab.define(CHILD)

    result = lab.run(job(run_job("sub", "child", timeout_s=TICK_S), job_id="parent"))
    never.set()

    assert statuses(result) == {"sub": "failed"}
    # The fixture sees to it that no run is left as running.


def test_a_child_that_may_not_run_beside_another_fails_the_step(lab: Lab) -> None:
    Service(lab)
    lab.define(job(call("fetch"), job_id="child", concurrency="fail"))
    results: list[ExecutionResult] = []

    def run_parent(params: Mapping[str, Any]) -> dict[str, Any]:
        results.append(lab.run(PARENT))
        return {"items": []}

    lab.register(run_parent=run_parent)
    # A run of the child's job that is at work, in which the parent is started.
    active = job(call("run_parent"), job_id="child", concurrency="fail")

    assert lab.run(active).success
    assert statuses(results[0]) == {"sub": "failed"}
    assert "job 'child' is already running in namespace 'prod'" in (results[0].error or "")
