"""What the event log says of runs: each start and each end, whatever else goes wrong, and nothing that is data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorchestra.errors import PermanentError, TransientError
from lorchestra.executor import Executor
from lorchestra.storacle.codec import Message
from lorchestra.supervision.cancellation import Cancellation
from tests.jobs import TICK_S, Gate, Lab, call, job, run_job, visits, write

JOB = job(call("fetch"), *write("fetch"))
NAME = "Jane Doe"


def logging_events(lab: Lab, **changes: Any) -> Executor:
    return lab.executor(logs_events=True, **changes)


def events(lab: Lab, **of: Any) -> list[dict[str, Any]]:
    rows = lab.service.rows("events", "event_log", **of)
    return sorted(rows, key=lambda row: (row["created_at"], row["event_type"] != "job.started"))


def told(lab: Lab, **of: Any) -> list[str]:
    return [row["event_type"] for row in events(lab, **of)]


def sends_an_event(message: Message) -> bool:
    return "event.append" in str(message)


def test_run_that_completes_says_so_with_its_duration_and_counts(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(3)})
    result = lab.run(JOB, executor=logging_events(lab))
    started, completed = events(lab)
    assert (started["event_type"], started["status"]) == ("job.started", "running")
    assert (completed["event_type"], completed["status"]) == ("job.completed", "completed")
    assert started["job_id"] == completed["job_id"] == "tidy"
    assert started["run_id"] == completed["run_id"] == completed["correlation_id"] == result.run_id
    assert completed["payload"]["duration_ms"] > 0
    assert completed["payload"]["steps"]["fetch"] == {"record": 3}
    assert started["created_at"] < completed["created_at"]


def test_run_that_fails_says_so_with_a_safe_reason(lab: Lab) -> None:
    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        raise PermanentError(f"no such person: {NAME}")

    lab.register(fetch=fetch)
    result = lab.run(JOB, executor=logging_events(lab))
    failed = events(lab)[-1]
    assert result.status == "failed"
    assert (failed["event_type"], failed["status"]) == ("job.failed", "failed")
    assert "fetch" in failed["error_message"]
    assert NAME not in str(failed)


def test_run_that_is_cancelled_says_so(lab: Lab) -> None:
    cancellation = Cancellation()

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        cancellation.request("asked to")
        return {"items": visits(1)}

    lab.register(fetch=fetch)
    assert lab.run(JOB, executor=logging_events(lab), cancellation=cancellation).status == "cancelled"
    assert [(row["event_type"], row["status"]) for row in events(lab)][-1] == ("job.failed", "cancelled")


def test_job_that_reads_and_writes_nothing_says_so_too(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    lab.run(job(call("fetch")), executor=logging_events(lab))
    assert told(lab) == ["job.started", "job.completed"]


def test_every_attempt_of_a_run_tells_its_start_and_its_end(lab: Lab) -> None:
    tries = iter((TransientError("away"), None))

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        if (error := next(tries)) is not None:
            raise error
        return {"items": visits(2)}

    lab.register(fetch=fetch)
    first = lab.run(JOB, executor=logging_events(lab))
    assert lab.resume(first, JOB, executor=logging_events(lab)).status == "completed"
    assert told(lab) == ["job.started", "job.failed", "job.started", "job.completed"]
    assert [row["payload"]["attempt_n"] for row in events(lab)] == [1, 1, 2, 2]


def test_child_tells_its_own(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    lab.define(job(call("fetch"), job_id="child"))
    lab.run(job(run_job("go", "child")), executor=logging_events(lab))
    assert [(row["job_id"], row["event_type"]) for row in events(lab)] == [
        ("tidy", "job.started"),
        ("child", "job.started"),
        ("child", "job.completed"),
        ("tidy", "job.completed"),
    ]


def test_smoke_run_tells_its_own_namespace(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(1)})
    lab.run(JOB, executor=logging_events(lab), smoke_namespace="trial")
    assert told(lab) == []
    assert told(lab, namespace="smoke_trial") == ["job.started", "job.completed"]


def test_event_that_is_lost_loses_no_data_and_is_missed_in_the_log(lab: Lab) -> None:
    def refuse(message: Message) -> None:
        if sends_an_event(message):
            raise TransientError("storacle is away")

    lab.register(fetch=lambda params: {"items": visits(3)})
    result = lab.run(JOB, executor=logging_events(lab, client=lab.client(refuse)))
    assert result.status == "completed"
    assert len(lab.rows()) == 3
    assert [one["event_type"] for one in lab.events("event.lost")] == ["job.started", "job.completed"]


def test_data_that_is_lost_loses_no_event(lab: Lab) -> None:
    def refuse(message: Message) -> None:
        if "table.upsert" in str(message):
            raise PermanentError("no room")

    lab.register(fetch=lambda params: {"items": visits(3)})
    result = lab.run(JOB, executor=logging_events(lab, client=lab.client(refuse)))
    assert result.status == "failed"
    assert lab.rows() == []
    assert told(lab) == ["job.started", "job.failed"]


def test_storacle_that_does_not_answer_an_event_is_not_waited_for(lab: Lab) -> None:
    gate = Gate()

    def hang(message: Message) -> None:
        if sends_an_event(message) and "job.started" in str(message):
            gate.wait()

    lab.register(fetch=lambda params: {"items": visits(3)})
    result = lab.run(JOB, executor=logging_events(lab, client=lab.client(hang), grace_s=TICK_S))
    assert result.status == "completed"
    assert len(lab.rows()) == 3
    gate.open()
