"""Resume: on from the first segment without an outcome, with the values and the code the run was started with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from lorchestra.compiler import compile_job
from lorchestra.errors import ChangedSince, DefinitionError, JobBusy, PermanentError, RunNotFound, StoreError
from lorchestra.result import ExecutionResult
from lorchestra.schemas import RunStatus
from tests.jobs import (
    Lab,
    build,
    call,
    job,
    keys,
    manifests,
    outcomes,
    run_id_of,
    statuses,
    submit,
    visits,
    write,
)

STEPS = (
    call("fetch", params={"day": "@payload.day"}),
    *write("fetch"),
    call("report", params={"seen": "@run.fetch.stats.seen", "applied": "@run.fetch_write.applied"}),
)
USUAL = job(*STEPS)
PAYLOAD = {"day": "monday"}


class Clinic:
    """The callables of the usual job: how often each was called, and whether the second is out of order."""

    def __init__(self, lab: Lab, *, is_broken: bool = True) -> None:
        self.is_broken = is_broken
        self.fetched: list[str] = []
        self.reported: list[tuple[int, int]] = []
        lab.register(fetch=self.fetch, report=self.report)

    def fetch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self.fetched.append(params["day"])
        return {"items": visits(3), "stats": {"seen": 3}}

    def report(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if self.is_broken:
            raise PermanentError("out of order")
        self.reported.append((params["seen"], params["applied"]))
        return {"items": []}


def private_values(lab: Lab, run_id: str) -> set[str]:
    """The names of the values that a run still has."""
    found = set()
    for name in ("envelope", "fetch.output", "fetch_write.output"):
        try:
            lab.store.private.get(run_id, name)
        except StoreError:
            continue
        found.add(name)
    return found


def fail_once(lab: Lab, clinic: Clinic) -> ExecutionResult:
    failed = lab.run(USUAL, payload=PAYLOAD)
    assert failed.status == RunStatus.FAILED
    clinic.is_broken = False
    return failed


def test_a_resume_goes_on_where_the_run_failed_with_the_values_of_what_was_done(lab: Lab) -> None:
    clinic = Clinic(lab)
    failed = fail_once(lab, clinic)

    result = lab.resume(failed, USUAL, payload=PAYLOAD)

    assert (result.status, result.run_id) == (RunStatus.COMPLETED, failed.run_id)
    assert clinic.fetched == ["monday"]
    assert clinic.reported == [(3, 2)]
    assert lab.service.effects == 2
    assert set(statuses(result).values()) == {"completed"}
    assert [attempt.status for attempt in lab.store.get(run_id_of(result)).attempts] == ["failed", "completed"]
    assert result.run_record == lab.store.get(run_id_of(result))
    assert result.attempt is not None
    assert [outcome.step_id for outcome in result.attempt.step_outcomes] == ["report"]


def test_manifests_of_a_resume_belong_to_its_attempt(lab: Lab) -> None:
    clinic = Clinic(lab)
    failed = fail_once(lab, clinic)
    result = lab.resume(failed, USUAL, payload=PAYLOAD)

    assert [(manifest.attempt_n, manifest.step_id) for manifest in manifests(lab, result)] == [
        (1, "fetch"),
        (1, "fetch_plan"),
        (1, "fetch_write"),
        (1, "report"),
        (2, "report"),
    ]
    assert (outcomes(result)["report"].manifest_ref or "").endswith("/2/report")


def test_a_segment_that_was_cut_short_lands_again_without_effect(lab: Lab) -> None:
    broken = [True]

    def fetch(params: Mapping[str, Any]) -> Any:
        for number, visit in enumerate(visits(6)):
            if broken[0] and number == 4:
                raise PermanentError("broken off")
            yield visit

    lab.register(fetch=lambda params: {"items": fetch(params)})
    definition = job(call("fetch"), *write("fetch"))
    failed = lab.run(definition)
    assert lab.rows() == keys(visits(4))
    broken[0] = False

    result = lab.resume(failed, definition)

    assert result.success
    assert outcomes(result)["fetch_write"].counts == {"applied": 1, "already_applied": 2}
    assert lab.rows() == keys(visits(6))
    assert lab.service.effects == 3


def test_items_that_were_written_out_are_read_and_not_fetched_again(lab: Lab) -> None:
    clinic = Clinic(lab)
    first, second = build("first", "fetch"), build("second", "fetch", params={"table": "second"})
    steps = (STEPS[0], first, submit("write_first", "first"), call("report"), second, submit("write_second", "second"))
    failed = lab.run(job(*steps), payload=PAYLOAD)
    assert lab.rows("second") == []
    clinic.report = lambda params: {"items": []}  # type: ignore[method-assign]  # a repaired service behind it
    lab.register(report=lambda params: {"items": []})

    result = lab.resume(failed, job(*steps), payload=PAYLOAD, accept_changes=True)

    assert result.success
    assert clinic.fetched == ["monday"]
    assert lab.rows() == lab.rows("second") == keys(visits(3))


def test_a_skipped_step_is_skipped_again(lab: Lab) -> None:
    clinic = Clinic(lab)
    definition = job(call("left_out", name="fetch", when=False), *STEPS)
    failed = lab.run(definition, payload=PAYLOAD)
    clinic.is_broken = False

    result = lab.resume(failed, definition, payload=PAYLOAD)

    assert statuses(result)["left_out"] == "skipped"
    assert result.status == RunStatus.COMPLETED


def test_what_failed_and_was_passed_over_is_tried_again_by_a_resume(lab: Lab) -> None:
    broken = [True]

    def flaky(params: Mapping[str, Any]) -> dict[str, Any]:
        if broken[0]:
            raise PermanentError("no")
        return {"items": []}

    lab.register(flaky=flaky)
    definition = job(call("one", name="flaky", continue_on_error=True), call("two", name="flaky"))
    failed = lab.run(definition)
    assert statuses(failed) == {"one": "failed", "two": "failed"}
    broken[0] = False

    result = lab.resume(failed, definition)

    assert (result.status, statuses(result)) == (RunStatus.COMPLETED, {"one": "completed", "two": "completed"})


# What may not have changed


def refuses(lab: Lab, failed: ExecutionResult, definition: Any, payload: Mapping[str, Any], changed: str) -> None:
    with pytest.raises(ChangedSince, match=f"{changed} has changed since run .* --accept-changes"):
        lab.resume(failed, definition, payload=payload)
    assert len(lab.store.get(run_id_of(failed)).attempts) == 1


def test_a_changed_definition_is_refused_unless_accepted(lab: Lab) -> None:
    failed = fail_once(lab, Clinic(lab))
    changed = job(*STEPS, description="another")

    refuses(lab, failed, changed, PAYLOAD, "the definition of 'tidy'")

    assert lab.resume(failed, changed, payload=PAYLOAD, accept_changes=True).success


def test_a_changed_callable_is_refused_unless_accepted(lab: Lab) -> None:
    failed = fail_once(lab, Clinic(lab))
    lab.register(report=lambda params: {"items": [], "stats": {"better": True}})

    refuses(lab, failed, USUAL, PAYLOAD, "the callable 'report'")

    result = lab.resume(failed, USUAL, payload=PAYLOAD, accept_changes=True)
    assert result.success
    report = manifests(lab, result)[-1]
    assert report.code_sha256 == lab.callables.get("report").content_hash != manifests(lab, result)[-2].code_sha256


def test_what_was_accepted_is_recorded_and_is_what_the_next_resumption_is_held_to(lab: Lab) -> None:
    failed = fail_once(lab, Clinic(lab))
    lab.register(report=lambda params: broken())
    changed, payload = job(*STEPS, description="another"), {"day": "tuesday"}
    first = lab.store.get(run_id_of(failed))

    assert lab.resume(failed, changed, payload=payload, accept_changes=True).status == "failed"

    record = lab.store.get(run_id_of(failed))
    assert (record.job_def_sha256, record.code) == (first.job_def_sha256, first.code)
    assert [(basis.attempt_n, basis.job_def_sha256) for basis in record.accepted] == [(2, changed.sha256())]
    assert record.basis.code["report"] == lab.callables.get("report").content_hash
    assert lab.store.definition(changed.sha256())["description"] == "another"
    assert lab.store.private.get(record.run_id, "envelope") == {"ctx": {}, "payload": payload}
    with pytest.raises(ChangedSince):
        lab.resume(failed, USUAL, payload=PAYLOAD)
    assert lab.resume(failed, changed, payload=payload).status == "failed"
    assert len(lab.store.get(record.run_id).accepted) == 1


def broken() -> dict[str, Any]:
    raise PermanentError("broken")


def test_definition_that_was_accepted_is_kept_as_long_as_its_run(lab: Lab) -> None:
    failed = fail_once(lab, Clinic(lab))
    lab.register(report=lambda params: {"items": []})
    changed = job(*STEPS, description="another")
    record = lab.resume(failed, changed, payload=PAYLOAD, accept_changes=True).run_record
    assert record is not None
    assert record.completed_at is not None

    lab.store.prune(record.started_at, dry_run=False)
    assert lab.store.definition(changed.sha256())
    lab.store.prune(record.completed_at + timedelta(days=1), dry_run=False)
    with pytest.raises(StoreError):
        lab.store.definition(changed.sha256())


def test_another_payload_is_refused_unless_accepted(lab: Lab) -> None:
    failed = fail_once(lab, Clinic(lab))

    refuses(lab, failed, USUAL, {"day": "tuesday"}, "the payload")

    assert lab.resume(failed, USUAL, payload={"day": "tuesday"}, accept_changes=True).success


# What there is to resume


def test_a_completed_or_partial_run_is_not_resumed(lab: Lab) -> None:
    Clinic(lab, is_broken=False)
    lab.register(broken=lambda params: None)
    completed = lab.run(USUAL, payload=PAYLOAD)
    lenient = job(call("broken", continue_on_error=True), job_id="lenient")
    partial = lab.run(lenient)
    assert partial.status == RunStatus.PARTIAL

    with pytest.raises(StoreError, match="is completed: there is nothing to resume"):
        lab.resume(completed, USUAL, payload=PAYLOAD)
    with pytest.raises(StoreError, match="is partial: there is nothing to resume"):
        lab.resume(partial, lenient)


def test_an_unknown_run_is_not_resumed(lab: Lab) -> None:
    Clinic(lab)
    with pytest.raises(RunNotFound):
        lab.resume("01NONE", USUAL, payload=PAYLOAD)


def test_a_run_that_is_at_work_is_not_resumed_beside_itself(lab: Lab) -> None:
    refused: list[BaseException] = []
    definition = job(call("fetch"))

    def fetch(params: Mapping[str, Any], context: Any) -> dict[str, Any]:
        try:
            lab.resume(context.run_id, definition)
        except JobBusy as busy:
            refused.append(busy)
        return {"items": []}

    lab.register(fetch=fetch)

    assert lab.run(definition).success
    assert len(refused) == 1


# Private values


def test_private_values_are_kept_after_a_failure_and_gone_after_completion(lab: Lab) -> None:
    clinic = Clinic(lab)
    failed = fail_once(lab, clinic)
    assert private_values(lab, run_id_of(failed)) == {"envelope", "fetch.output", "fetch_write.output"}

    lab.resume(failed, USUAL, payload=PAYLOAD)

    assert private_values(lab, run_id_of(failed)) == set()


def test_private_values_are_kept_when_that_is_asked_for(lab: Lab) -> None:
    Clinic(lab, is_broken=False)
    result = lab.run(USUAL, payload=PAYLOAD, executor=lab.executor(keep_values=True))
    assert private_values(lab, run_id_of(result)) == {"envelope", "fetch.output", "fetch_write.output"}


def test_outputs_that_no_step_names_are_not_kept(lab: Lab) -> None:
    Clinic(lab)
    failed = lab.run(job(STEPS[0], call("report")), payload=PAYLOAD)
    assert private_values(lab, run_id_of(failed)) == {"envelope"}


def test_a_resume_without_the_values_it_needs_says_so_and_can_be_tried_again(lab: Lab) -> None:
    clinic = Clinic(lab)
    failed = fail_once(lab, clinic)
    kept = lab.store.private.get(run_id_of(failed), "fetch.output")
    lab.store.private.remove(run_id_of(failed))

    for _ in range(2):
        with pytest.raises(StoreError, match=r"has no private value 'fetch\.output'"):
            lab.resume(failed, USUAL, payload=PAYLOAD)
        assert lab.store.get(run_id_of(failed)).status is RunStatus.FAILED

    lab.store.private.put(run_id_of(failed), "fetch.output", kept)
    lab.store.private.put(run_id_of(failed), "fetch_write.output", {"applied": 2})
    assert lab.resume(failed, USUAL, payload=PAYLOAD).success


def test_a_resume_without_the_items_it_needs_fails_and_says_so(lab: Lab) -> None:
    Clinic(lab)
    first, second = build("first", "fetch"), build("second", "fetch", params={"table": "second"})
    steps = (STEPS[0], first, submit("write_first", "first"), call("report"), second, submit("write_second", "second"))
    failed = lab.run(job(*steps), payload=PAYLOAD)
    lab.store.private.remove(run_id_of(failed))
    lab.register(report=lambda params: {"items": []})

    result = lab.resume(failed, job(*steps), payload=PAYLOAD, accept_changes=True)

    assert result.status == RunStatus.FAILED
    assert statuses(result)["second"] == "failed"
    assert "has no private value 'fetch.items'" in (result.error or "")
    assert lab.rows("second") == []


@pytest.mark.parametrize(("job_id", "smoke_namespace"), [("other", "trial"), ("tidy", None)])
def test_a_run_stays_that_of_its_job_and_namespace_whatever_changes_are_accepted(
    lab: Lab, job_id: str, smoke_namespace: str | None
) -> None:
    Clinic(lab)
    failed = lab.run(USUAL, payload=PAYLOAD, smoke_namespace="trial")
    envelope = {"payload": PAYLOAD, "smoke_namespace": smoke_namespace}

    with pytest.raises(DefinitionError, match="that is a run of 'tidy' in namespace 'smoke_trial'"):
        lab.executor().resume(
            run_id_of(failed), compile_job(job(*STEPS, job_id=job_id), {}, PAYLOAD), envelope, accept_changes=True
        )
