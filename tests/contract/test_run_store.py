"""What every run store promises, whatever it is made of."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lorchestra.clock import child_run_id
from lorchestra.errors import JobBusy, RunNotFound, StaleAttempt, StoreError
from lorchestra.run_store import InMemoryRunStore, RunFilter, RunStore, SqliteRunStore
from lorchestra.schemas import ErrorRecord, RunRecord, RunStatus, StepStatus
from tests.factories import NOW, at, job_def, manifest, outcome, run_record

FINISHED = (RunStatus.COMPLETED, RunStatus.PARTIAL)
UNFINISHED = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    makers: dict[str, Callable[[], RunStore]] = {
        "memory": InMemoryRunStore,
        "sqlite": lambda: SqliteRunStore(tmp_path / "store"),
    }
    store = makers[request.param]()
    yield store
    store.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "lorchestra-heartbeat"]


def open_run(store: RunStore, *, exclusive: bool = False, job_id: str = "tidy", **changes: object) -> RunRecord:
    definition = job_def(job_id)
    record = run_record(definition, **changes)
    store.open_run(record, definition, [manifest(record.run_id)], exclusive=exclusive)
    return record


def closed_run(store: RunStore, status: RunStatus = RunStatus.COMPLETED, *, ended: float = 1, **changes: object) -> str:
    run_id = open_run(store, **changes).run_id  # type: ignore[arg-type]  # the fields of a record, as the test has them
    store.close_run(run_id, 1, status=status, at=at(ended))
    return run_id


def listed(store: RunStore, **query: object) -> list[str]:
    return [record.run_id for record in store.list_runs(RunFilter(**query))]  # type: ignore[arg-type]  # as above


# Runs


def test_a_new_run_reads_as_it_was_given_with_its_first_attempt_running(store: RunStore) -> None:
    record = open_run(store, code={"noop": "c0de"}, parent_run_id="P", parent_step_id="sub")

    kept = store.get(record.run_id)

    assert kept == record.model_copy(update={"attempts": kept.attempts})
    assert [(attempt.attempt_n, attempt.status, attempt.started_at) for attempt in kept.attempts] == [
        (1, RunStatus.RUNNING, NOW)
    ]
    assert kept.step_outcomes == ()


def test_the_manifests_given_with_a_new_run_are_kept(store: RunStore) -> None:
    record = run_record()
    first, second = manifest(record.run_id, "fetch"), manifest(record.run_id, "persist", prompt_hash="hmac:9")

    store.open_run(record, job_def(), [first, second], exclusive=False)

    assert store.manifests(record.run_id) == (first, second)


def test_a_run_id_is_recorded_once(store: RunStore) -> None:
    record = open_run(store)

    with pytest.raises(StoreError, match="recorded already"):
        store.open_run(record, job_def(), [manifest(record.run_id, "other")], exclusive=False)

    assert [kept.step_id for kept in store.manifests(record.run_id)] == ["fetch"]


def test_outcomes_and_manifests_are_added_together(store: RunStore) -> None:
    record = open_run(store)
    done, asked = outcome("fetch", counts={"record": 2, "rejected": 1}), manifest(record.run_id, "persist")

    store.advance(record.run_id, 1, outcomes=[done], manifests=[asked])

    assert store.get(record.run_id).attempts[0].step_outcomes == (done,)
    assert store.manifests(record.run_id)[-1] == asked


def test_a_later_outcome_and_manifest_of_a_step_replace_the_earlier_ones(store: RunStore) -> None:
    run_id = open_run(store).run_id
    store.advance(run_id, 1, outcomes=[outcome(tries=1)], manifests=[manifest(run_id, "persist")])

    again = manifest(run_id, inputs_digest="hmac:again")
    store.advance(run_id, 1, outcomes=[outcome(tries=2)], manifests=[again])

    assert [kept.tries for kept in store.get(run_id).attempts[0].step_outcomes] == [2]
    assert [(kept.step_id, kept.inputs_digest) for kept in store.manifests(run_id)] == [
        ("persist", "hmac:3"),
        ("fetch", "hmac:again"),
    ]


def test_closing_ends_the_run_and_its_attempt_and_keeps_the_last_outcomes_and_the_error(store: RunStore) -> None:
    run_id = open_run(store).run_id
    error = ErrorRecord(type="StepFailed", message="no", cause=ErrorRecord(type="OSError", fingerprint="hmac:f"))
    failed = outcome(status=StepStatus.FAILED, error=error, errors=(error, error), detail={"model": "m", "n": [1]})

    store.close_run(run_id, 1, status=RunStatus.FAILED, at=at(2), outcomes=[failed], error=error)

    kept = store.get(run_id)
    assert (kept.status, kept.completed_at, kept.error) == (RunStatus.FAILED, at(2), error)
    assert (kept.attempts[0].status, kept.attempts[0].completed_at) == (RunStatus.FAILED, at(2))
    assert kept.step_outcomes == (failed,)


def test_a_run_cannot_end_as_running(store: RunStore) -> None:
    run_id = open_run(store).run_id
    with pytest.raises(StoreError, match="cannot end as running"):
        store.close_run(run_id, 1, status=RunStatus.RUNNING, at=NOW)


def test_nothing_is_written_after_the_end(store: RunStore) -> None:
    run_id = closed_run(store)

    with pytest.raises(StaleAttempt):
        store.advance(run_id, 1, outcomes=[outcome()], manifests=[manifest(run_id, "late")])
    with pytest.raises(StaleAttempt):
        store.close_run(run_id, 1, status=RunStatus.FAILED, at=at(5))

    assert store.get(run_id).status is RunStatus.COMPLETED
    assert store.get(run_id).step_outcomes == ()
    assert [kept.step_id for kept in store.manifests(run_id)] == ["fetch"]


def test_an_empty_advance_still_tells_whether_the_attempt_may_write(store: RunStore) -> None:
    run_id = open_run(store).run_id
    store.advance(run_id, 1)
    with pytest.raises(StaleAttempt):
        store.advance(run_id, 2)


def test_an_unknown_run_is_not_found_by_any_method(store: RunStore) -> None:
    for ask in (
        lambda: store.get("01NONE"),
        lambda: store.manifests("01NONE"),
        lambda: store.open_attempt("01NONE", at=NOW),
        lambda: store.advance("01NONE", 1, outcomes=[outcome()]),
        lambda: store.close_run("01NONE", 1, status=RunStatus.FAILED, at=NOW),
    ):
        with pytest.raises(RunNotFound):
            ask()


# Attempts


@pytest.mark.parametrize("status", UNFINISHED)
def test_a_run_that_did_not_finish_can_be_resumed(store: RunStore, status: RunStatus) -> None:
    run_id = open_run(store).run_id
    store.close_run(run_id, 1, status=status, at=at(1), outcomes=[outcome()], error=ErrorRecord(type="E"))

    assert store.open_attempt(run_id, at=at(10)) == 2

    kept = store.get(run_id)
    assert (kept.status, kept.completed_at, kept.error) == (RunStatus.RUNNING, None, None)
    assert [attempt.status for attempt in kept.attempts] == [status, RunStatus.RUNNING]
    assert [attempt.started_at for attempt in kept.attempts] == [NOW, at(10)]
    assert [done.step_id for done in kept.step_outcomes] == ["fetch"]


@pytest.mark.parametrize("status", FINISHED)
def test_a_finished_run_has_nothing_to_resume(store: RunStore, status: RunStatus) -> None:
    run_id = closed_run(store, status)

    with pytest.raises(StoreError, match="nothing to resume; start a new run"):
        store.open_attempt(run_id, at=at(10))

    assert len(store.get(run_id).attempts) == 1


def test_a_running_run_cannot_be_resumed(store: RunStore) -> None:
    run_id = open_run(store).run_id

    with pytest.raises(JobBusy) as busy:
        store.open_attempt(run_id, at=at(10))

    assert busy.value.run_id == run_id
    assert len(store.get(run_id).attempts) == 1


def test_an_earlier_attempt_may_write_no_more(store: RunStore) -> None:
    run_id = closed_run(store, RunStatus.FAILED)
    store.open_attempt(run_id, at=at(10))

    with pytest.raises(StaleAttempt):
        store.advance(run_id, 1, outcomes=[outcome(tries=9)])
    with pytest.raises(StaleAttempt):
        store.close_run(run_id, 1, status=RunStatus.COMPLETED, at=at(11), outcomes=[outcome(tries=9)])

    assert store.get(run_id).status is RunStatus.RUNNING
    assert store.get(run_id).step_outcomes == ()


def test_outcomes_and_manifests_belong_to_their_attempt(store: RunStore) -> None:
    run_id = open_run(store).run_id
    store.close_run(run_id, 1, status=RunStatus.FAILED, at=at(1), outcomes=[outcome(tries=1)])
    store.open_attempt(run_id, at=at(2))

    store.advance(run_id, 2, outcomes=[outcome(tries=2)], manifests=[manifest(run_id, attempt_n=2)])

    kept = store.get(run_id)
    assert [[done.tries for done in attempt.step_outcomes] for attempt in kept.attempts] == [[1], [2]]
    assert [done.tries for done in kept.step_outcomes] == [2]
    assert [kept.attempt_n for kept in store.manifests(run_id)] == [1, 2]


# One run of a job at a time


def test_an_exclusive_run_is_refused_while_another_of_the_job_is_running(store: RunStore) -> None:
    running = open_run(store)

    with pytest.raises(JobBusy) as busy:
        open_run(store, exclusive=True)

    assert busy.value.run_id == running.run_id
    assert listed(store) == [running.run_id]


@pytest.mark.parametrize("changes", [{"job_id": "other"}, {"namespace": "smoke_x"}])
def test_an_exclusive_run_waits_for_no_other_job_or_namespace(store: RunStore, changes: dict[str, str]) -> None:
    open_run(store)
    assert open_run(store, exclusive=True, **changes).run_id in listed(store)


def test_an_exclusive_attempt_is_refused_while_another_run_of_the_job_is_running(store: RunStore) -> None:
    failed = closed_run(store, RunStatus.FAILED)
    running = open_run(store)

    with pytest.raises(JobBusy) as busy:
        store.open_attempt(failed, at=at(10), exclusive=True)

    assert busy.value.run_id == running.run_id
    assert store.get(failed).status is RunStatus.FAILED
    assert store.open_attempt(failed, at=at(10)) == 2


def test_an_exclusive_attempt_may_follow_a_run_that_ended(store: RunStore) -> None:
    failed = closed_run(store, RunStatus.FAILED)
    closed_run(store)
    assert store.open_attempt(failed, at=at(10), exclusive=True) == 2


def test_an_exclusive_run_may_follow_one_that_ended(store: RunStore) -> None:
    closed_run(store, RunStatus.FAILED)
    assert open_run(store, exclusive=True).run_id in listed(store, status=RunStatus.RUNNING)


def test_a_run_that_does_not_ask_for_exclusivity_runs_beside_another(store: RunStore) -> None:
    runs = {open_run(store).run_id, open_run(store).run_id}
    assert set(listed(store, status=RunStatus.RUNNING)) == runs


def test_child_runs_follow_the_same_rule(store: RunStore) -> None:
    parent = open_run(store, job_id="parent", exclusive=True)
    child = {"run_id": child_run_id(parent.run_id, "sub"), "parent_run_id": parent.run_id, "parent_step_id": "sub"}
    open_run(store, job_id="child", exclusive=True, **child)

    with pytest.raises(JobBusy):
        open_run(store, job_id="child", exclusive=True)


def test_of_many_threads_that_open_an_exclusive_run_one_wins(store: RunStore) -> None:
    start, won = threading.Barrier(8), []

    def attempt() -> None:
        start.wait()
        with contextlib.suppress(JobBusy):
            won.append(open_run(store, exclusive=True).run_id)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert listed(store) == won
    assert len(won) == 1


def test_of_many_threads_that_resume_a_run_one_wins(store: RunStore) -> None:
    run_id = closed_run(store, RunStatus.FAILED)
    start, won = threading.Barrier(8), []

    def attempt() -> None:
        start.wait()
        with contextlib.suppress(JobBusy):
            won.append(store.open_attempt(run_id, at=at(10)))

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won == [2]


# Looking for runs


def test_runs_are_listed_without_attempts_and_the_last_that_was_recorded_comes_first(store: RunStore) -> None:
    ids = [open_run(store, started_at=at(minute)).run_id for minute in (5, 1, 9)]
    assert listed(store) == [ids[2], ids[1], ids[0]]
    assert all(record.attempts == () for record in store.list_runs(RunFilter()))


def test_runs_are_filtered(store: RunStore) -> None:
    done = closed_run(store, RunStatus.COMPLETED, started_at=at(1))
    failed = closed_run(store, RunStatus.FAILED, job_id="other", started_at=at(2))
    smoke = open_run(store, namespace="smoke_x", started_at=at(3)).run_id
    child = open_run(store, parent_run_id=smoke, started_at=at(4)).run_id
    gone = closed_run(store, RunStatus.INTERRUPTED, started_at=at(5))

    assert listed(store, job_id="tidy") == [gone, child, smoke, done]
    assert listed(store, status=RunStatus.FAILED) == [failed]
    assert listed(store, status=RunStatus.RUNNING) == [child, smoke]
    assert listed(store, status=RunStatus.INTERRUPTED) == [gone]
    assert listed(store, namespace="smoke_x") == [smoke]
    assert listed(store, parent_run_id=smoke) == [child]
    assert listed(store, outermost=True) == [one for one in listed(store) if one != child]
    assert listed(store, outermost=True, parent_run_id=smoke) == []
    assert listed(store, job_id="tidy", status=RunStatus.COMPLETED, namespace="prod") == [done]
    assert listed(store, limit=2) == [gone, child]
    assert listed(store, limit=0) == []
    assert listed(store, job_id="nope") == []


def test_a_run_is_found_by_the_beginning_of_its_id_in_any_case(store: RunStore) -> None:
    open_run(store, run_id="01ABCD")
    open_run(store, run_id="01ABXY")
    open_run(store, run_id="01ABXYZ")

    assert store.find("01abc") == "01ABCD"
    assert store.find("01ABXY") == "01ABXY"
    for prefix in ("", "01AB", "02", "%", "_1ABCD", "01ABCDE"):
        with pytest.raises(RunNotFound):
            store.find(prefix)


# Definitions


def test_a_definition_is_kept_by_its_hash_in_canonical_form(store: RunStore) -> None:
    definition = job_def(description="tidies up")
    open_run(store)
    record = run_record(definition)
    store.open_run(record, definition, [], exclusive=False)

    assert store.definition(record.job_def_sha256) == definition.canonical()


def test_a_definition_that_is_not_kept_is_an_error(store: RunStore) -> None:
    with pytest.raises(StoreError, match="no definition with the hash abc"):
        store.definition("abc")


# Retention


def test_prune_deletes_runs_that_ended_before_the_time_with_their_values_and_definitions(store: RunStore) -> None:
    old = closed_run(store, ended=1, job_id="old_job")
    failed = closed_run(store, RunStatus.FAILED, ended=2)
    recent = closed_run(store, ended=20)
    running = open_run(store).run_id
    store.private.put(failed, "envelope", {"payload": "x" * 100})
    definition = store.get(old).job_def_sha256

    pruned = store.prune(at(10), dry_run=False)

    assert (pruned.run_ids, pruned.definitions) == (tuple(sorted([old, failed])), 1)
    assert pruned.private_bytes > 100
    assert sorted(listed(store)) == sorted([recent, running])
    with pytest.raises(RunNotFound):
        store.get(old)
    with pytest.raises(StoreError):
        store.private.get(failed, "envelope")
    with pytest.raises(StoreError):
        store.definition(definition)
    assert store.definition(store.get(recent).job_def_sha256) == job_def().canonical()


def test_a_dry_run_of_prune_says_the_same_and_deletes_nothing(store: RunStore) -> None:
    run_id = closed_run(store, RunStatus.FAILED)
    store.private.put(run_id, "envelope", {"payload": 1})

    said = store.prune(at(10), dry_run=True)

    assert store.get(run_id).status is RunStatus.FAILED
    assert store.private.get(run_id, "envelope") == {"payload": 1}
    assert store.definition(job_def().sha256()) == job_def().canonical()
    assert store.prune(at(10), dry_run=False) == said
    assert said.run_ids == (run_id,)


def test_prune_keeps_families_together(store: RunStore) -> None:
    old_parent = closed_run(store, ended=1, run_id="A0")
    closed_run(store, ended=20, run_id="A1", parent_run_id=old_parent)
    new_parent = open_run(store, run_id="B0").run_id
    closed_run(store, ended=1, run_id="B1", parent_run_id=new_parent)
    gone_parent = closed_run(store, ended=1, run_id="C0")
    child = closed_run(store, ended=2, run_id="C1", parent_run_id=gone_parent)
    closed_run(store, ended=2, run_id="C2", parent_run_id=child)

    assert store.prune(at(10), dry_run=False).run_ids == ("C0", "C1", "C2")


def test_a_run_can_be_recorded_under_a_pruned_id(store: RunStore) -> None:
    record = open_run(store)
    store.close_run(record.run_id, 1, status=RunStatus.FAILED, at=at(1), outcomes=[outcome()])
    store.prune(at(10), dry_run=False)

    store.open_run(record, job_def(), [], exclusive=True)

    assert store.get(record.run_id).step_outcomes == ()
    assert store.manifests(record.run_id) == ()


# Digests


def test_a_digest_shows_equal_values_as_equal_and_only_those(store: RunStore) -> None:
    digester = store.digester
    assert digester.value({"a": 1, "b": 2}) == store.digester.value({"b": 2, "a": 1})
    assert digester.value({"a": 1}) != digester.value({"a": 2})
    assert InMemoryRunStore().digester.value("x") != digester.value("x")
