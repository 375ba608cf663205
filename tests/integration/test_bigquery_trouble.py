"""The BigQuery backend when things go wrong: answers, connections and jobs that fail, and writers that race."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.resumable_media import _helpers

from lorchestra.errors import PermanentError, TransientError
from lorchestra.storacle import OpStatus, PlanRefused
from lorchestra.storacle.backends.bigquery import BigQueryBackend, errors
from lorchestra.storacle.error_codes import ErrorCode
from tests.bigquery_plane import backend_for
from tests.integration.bigquery_lab import META, BigQueryLab, bigquery_lab, visit
from tests.standins.bigquery import BigQueryStandIn
from tests.standins.bigquery.faults import Faults, JobFault

SECRET = "Jane Doe"
# The statements of a transaction, and not of what comes before and after.
TRANSACTION = "BEGIN TRANSACTION"


@pytest.fixture
def lab() -> Iterator[BigQueryLab]:
    with bigquery_lab(request_patience_s=5.0) as lab:
        # Tables and datasets are there already, so that what fails is what a test means.
        lab.upsert(visit("first"))
        yield lab
        assert lab.standin.faults.pending == 0
        assert lab.standin.violations == []


class OneRow:
    """What became of one row, in a lab that many tests use."""

    def __init__(self, lab: BigQueryLab, key: str) -> None:
        self.lab = lab
        self.key = key
        self._applied_before = self._applied()

    @property
    def faults(self) -> Faults:
        return self.lab.standin.faults

    def write(self) -> dict[str, int]:
        return self.lab.upsert(visit(self.key))

    def effects(self) -> tuple[int, int]:
        """How many rows there are with the key, and how many ops have been applied."""
        return len(self.lab.read(where={"idem_key": self.key})), self._applied() - self._applied_before

    def _applied(self) -> int:
        return int(self.lab.standin.rows("SELECT count(*) FROM storacle._ledger")[0][0])


@pytest.fixture(scope="module")
def lasting_lab() -> Iterator[BigQueryLab]:
    with bigquery_lab(request_patience_s=5.0) as lab:
        lab.upsert(visit("first"))
        yield lab


@pytest.fixture
def row(lasting_lab: BigQueryLab) -> Iterator[OneRow]:
    yield OneRow(lasting_lab, f"k{len(lasting_lab.standin.jobs)}")
    assert lasting_lab.standin.faults.pending == 0
    assert lasting_lab.standin.violations == []


@pytest.fixture(autouse=True)
def no_pauses_of_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's client waits a second and more before it uploads again, and can be told nothing else."""
    monkeypatch.setattr(_helpers, "calculate_retry_wait", lambda *_: (0.0, 0.001))


def second(lab: BigQueryLab, **options: Any) -> BigQueryBackend:
    """Another process, as far as BigQuery can tell."""
    return backend_for(lab.standin, **options)


def keys(lab: BigQueryLab) -> list[str]:
    return [row["idem_key"] for row in lab.read()]


# Answers that are errors


@pytest.mark.parametrize(
    ("status", "reason", "path"),
    [
        (429, "rateLimitExceeded", r"/jobs$"),
        pytest.param(429, "rateLimitExceeded", r"/upload/", marks=pytest.mark.prove),
        (500, None, r"/upload/"),
        (500, None, r"/tables$"),
        (502, "badGateway", r"/queries/"),
        pytest.param(503, None, r"/jobs$", marks=pytest.mark.prove),
    ],
)
def test_what_is_worth_another_try_is_tried_again_and_has_one_effect(
    row: OneRow, status: int, reason: str | None, path: str
) -> None:
    row.faults.answer(status, reason, times=2, path=path)
    assert row.write() == {"inserted": 1}
    assert row.effects() == (1, 1)


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (401, "authError", ErrorCode.UNAUTHORIZED),
        (403, "accessDenied", ErrorCode.FORBIDDEN),
        (403, "quotaExceeded", ErrorCode.RATE_LIMITED),
        (403, "billingNotEnabled", ErrorCode.FORBIDDEN),
        (412, "conditionNotMet", ErrorCode.BUSY),
        (413, "tooLarge", ErrorCode.TOO_LARGE),
        (501, "notImplemented", ErrorCode.UNSUPPORTED),
    ],
)
def test_an_answer_that_is_an_error_is_one_of_ours_and_none_of_its_text_is_told(
    row: OneRow, status: int, reason: str, code: ErrorCode
) -> None:
    row.faults.answer(status, reason, path="/jobs$", message=f"row of {SECRET} was refused")
    with pytest.raises((PermanentError, TransientError), match=code.name.lower()) as caught:
        row.write()
    assert SECRET not in str(caught.value)
    assert row.effects() == (0, 0)


@pytest.mark.prove
def test_a_service_that_stays_away_is_unavailable(lab: BigQueryLab) -> None:
    other = BigQueryLab(lab.standin, second(lab, request_patience_s=0.1), meta=replace(META, run_id="02RUN"))
    lab.standin.faults.answer(503, times=1000, path="/jobs$")
    with pytest.raises(TransientError, match="unavailable"):
        other.upsert(visit("second"))
    lab.standin.faults.clear()
    other.backend.close()
    assert keys(lab) == ["first"]


def test_a_dataset_that_is_gone_is_made_again(lab: BigQueryLab) -> None:
    """Another process may have cleaned the namespace."""
    smoke = BigQueryLab(lab.standin, lab.backend, meta=replace(META, namespace="smoke_a"))
    smoke.upsert(visit("s"))
    other = second(lab)
    other.clean("smoke_a")
    other.close()
    # The run is gone as well, and a worker of it may write no more.
    with pytest.raises(PlanRefused, match="fenced"):
        smoke.upsert(visit("t"))
    again = BigQueryLab(lab.standin, lab.backend, meta=replace(META, namespace="smoke_a"))
    assert again.upsert(visit("t")) == {"inserted": 1}
    assert [row["idem_key"] for row in again.read()] == ["t"]


def test_a_read_of_what_is_gone_gives_nothing(lab: BigQueryLab) -> None:
    smoke = BigQueryLab(lab.standin, lab.backend, meta=replace(META, namespace="smoke_a"))
    smoke.upsert(visit("s"))
    other = second(lab)
    other.clean("smoke_a")
    other.close()
    assert smoke.read() == []


# Connections


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("path", [r"/jobs$", r"/upload/", r"/queries/", r"/tables/_staged"])
def test_a_connection_that_is_cut_gives_one_effect(row: OneRow, when: Any, path: str) -> None:
    row.faults.drop(when, path=path)
    assert row.write() == {"inserted": 1}
    assert row.effects() == (1, 1)


def test_a_plan_sent_again_after_the_answer_was_lost_is_known(lab: BigQueryLab) -> None:
    op = lab.op("table.upsert", [visit("second")])
    other = BigQueryLab(lab.standin, second(lab, request_patience_s=0.1), meta=replace(META, run_id="02RUN"))
    lab.standin.faults.drop("after", times=1000, verb="GET", path="/queries/")
    with pytest.raises(TransientError):
        other.submit(op)
    lab.standin.faults.clear()
    (result,) = other.submit(op)
    assert (result.status, result.counts["inserted"]) == (OpStatus.ALREADY, 1)
    assert keys(lab) == ["first", "second"]
    other.backend.close()


def test_no_log_has_a_value_of_a_row_whatever_its_level(lab: BigQueryLab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lab.standin.faults.answer(503, path="/jobs$", message=f"row of {SECRET} was refused")
    lab.standin.faults.drop("after", path=r"/upload/")
    lab.upsert(visit("second", external_id=SECRET, payload={"name": SECRET}))
    assert [row["idem_key"] for row in lab.read(where={"external_id": SECRET})] == ["second"]
    lab.standin.faults.fail_job("invalidQuery", after_statement=9, matching=TRANSACTION, message=SECRET)
    with pytest.raises(PermanentError):
        lab.upsert(visit("third", external_id=SECRET))
    assert caplog.records
    assert SECRET not in caplog.text
    assert not [record for record in caplog.records if SECRET in repr(record.__dict__)]


# Jobs


@pytest.mark.parametrize(
    "after_statement", [6, *(pytest.param(one, marks=pytest.mark.prove) for one in (8, 10, 12, 14)), 11, 16]
)
def test_a_job_that_fails_half_way_has_no_effect_and_sent_again_one(row: OneRow, after_statement: int) -> None:
    row.faults.fail_job(after_statement=after_statement, matching=TRANSACTION, message=SECRET)
    op = row.lab.op("table.upsert", [visit(row.key)], group="g")
    state = row.lab.any_op("state.put", {"key": row.key, "value": 1}, group="g")
    with pytest.raises(TransientError, match="unavailable") as caught:
        row.lab.submit(op, state)
    assert SECRET not in str(caught.value)
    assert row.effects() == (0, 0)
    assert row.lab.read("storacle._state", where={"key": row.key}) == []
    assert [one.status for one in row.lab.submit(op, state)] == [OpStatus.APPLIED] * 2
    assert row.effects() == (1, 2)


def test_a_job_that_fails_once_it_has_committed_is_known_when_it_is_sent_again(lab: BigQueryLab) -> None:
    # The statements of a script are the same in number every time; the last reads the ledger, and before it is COMMIT.
    statements: list[int] = []
    lab.standin.faults._jobs.append(_Counting(matching=TRANSACTION, times=1, seen=statements))
    lab.upsert(visit("other"))
    op = lab.op("table.upsert", [visit("second")])
    lab.standin.faults.fail_job(after_statement=max(statements) - 1, matching=TRANSACTION)
    with pytest.raises(TransientError):
        lab.submit(op)
    (result,) = lab.submit(op)
    assert (result.status, result.counts["inserted"]) == (OpStatus.ALREADY, 1)
    assert keys(lab) == ["first", "other", "second"]


@dataclass(slots=True, kw_only=True)
class _Counting(JobFault):
    """No fault, but a look at how many statements a job runs."""

    seen: list[int]

    def act(self, statements: int) -> None:
        self.seen.append(statements)


def test_a_load_that_fails_has_no_effect_and_leaves_nothing(lab: BigQueryLab) -> None:
    lab.standin.faults.fail_job(matching="LOAD ")
    op = lab.op("table.upsert", [visit("second")])
    with pytest.raises(TransientError, match="unavailable"):
        lab.submit(op)
    assert keys(lab) == ["first"]
    assert lab.submit(op)[0].status is OpStatus.APPLIED
    left = lab.standin.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '\\_staged%' ESCAPE '\\'"
    )
    assert left == []


def test_a_query_beyond_the_cap_is_refused_and_has_no_effect(lab: BigQueryLab) -> None:
    other = BigQueryLab(lab.standin, second(lab, max_bytes_billed=1_000_000), meta=replace(META, run_id="02RUN"))
    lab.standin.pretend_bytes = 10_485_760
    with pytest.raises(PlanRefused, match="refused"):
        other.upsert(visit("second"))
    with pytest.raises(PermanentError, match="refused"):
        other.read()
    lab.standin.pretend_bytes = 0
    assert keys(lab) == ["first"]
    other.backend.close()


def test_a_query_that_fails_over_a_value_is_refused_without_the_value(lab: BigQueryLab) -> None:
    lab.upsert(visit("second", external_id=SECRET))
    query = "SELECT CAST(external_id AS INT64) AS n FROM raw.raw_objects WHERE external_id IS NOT NULL"
    op = lab.any_op("sql.execute", {"sql": f"CREATE OR REPLACE TABLE made.numbers AS {query}"})
    with pytest.raises(PlanRefused, match=r"refused, at /plan/ops/0/params/sql") as refused:
        lab.submit(op)
    assert SECRET not in str(refused.value)
    assert lab.read("made.numbers") == []
    lab.upsert(visit("second", external_id="7"))
    assert lab.submit(op)[0].counts == {"rows": 1}
    assert lab.read("made.numbers") == [{"n": 7}]


def test_every_job_says_for_whom_it_is_and_has_the_cap(lab: BigQueryLab) -> None:
    other = BigQueryLab(
        lab.standin,
        second(lab, max_bytes_billed=10_000_000, labels={"team": "data"}),
        meta=replace(META, run_id="02RUN"),
    )
    before = len(lab.standin.jobs)
    other.upsert(visit("second"))
    other.read()
    jobs = [job for job in lab.standin.jobs[before:] if job.parent is None]
    assert {("load" in job.configuration) for job in jobs} == {True, False}
    for job in jobs:
        assert job.labels == {
            "lorchestra_job": "visits-daily",
            "lorchestra_namespace": "prod",
            "lorchestra_run": "02run",
            "storacle": "data-plane",
            "team": "data",
        }
        if "query" in job.configuration:
            assert job.configuration["query"]["maximumBytesBilled"] == "10000000"
    other.backend.close()


# Writers that race


def test_of_two_writers_in_one_namespace_the_second_comes_after_the_first(lab: BigQueryLab) -> None:
    waited = threading.Event()
    other = BigQueryLab(
        lab.standin, second(lab, sleep=lambda _: waited.set(), most_attempts=1000), meta=replace(META, run_id="02RUN")
    )
    hold = lab.standin.faults.hold_job(after_statement=8, matching=TRANSACTION)
    first = threading.Thread(target=lab.upsert, args=(visit("second", payload={"n": 1}),))
    first.start()
    assert hold.reached.wait(10)
    late = threading.Thread(target=other.upsert, args=(visit("second", payload={"n": 2}),))
    late.start()
    assert waited.wait(30)
    hold.release()
    first.join()
    late.join()
    assert [row["payload"] for row in lab.read()] == [{"n": 1}, {"n": 2}]
    assert lab.effects == 3
    other.backend.close()


def test_writers_that_never_get_their_turn_are_told_that_it_is_busy(lab: BigQueryLab) -> None:
    other = BigQueryLab(lab.standin, second(lab, most_attempts=3), meta=replace(META, run_id="02RUN"))
    hold = lab.standin.faults.hold_job(after_statement=8, matching=TRANSACTION)
    first = threading.Thread(target=lab.upsert, args=(visit("second"),))
    first.start()
    assert hold.reached.wait(10)
    with pytest.raises(TransientError, match="busy"):
        other.upsert(visit("third"))
    hold.release()
    first.join()
    assert keys(lab) == ["first", "second"]
    other.backend.close()


def test_a_worker_whose_run_is_opened_anew_while_it_writes_is_refused(lab: BigQueryLab) -> None:
    """Held before its transaction begins: the token is checked in it, and not before."""
    refused: list[BaseException] = []

    def write() -> None:
        try:
            lab.upsert(visit("stale"))
        except PlanRefused as error:
            refused.append(error)

    hold = lab.standin.faults.hold_job(after_statement=0, matching=TRANSACTION)
    worker = threading.Thread(target=write)
    worker.start()
    assert hold.reached.wait(10)
    resumed = BigQueryLab(lab.standin, second(lab))
    hold.release()
    worker.join()
    assert [getattr(error, "code", None) for error in refused] == [ErrorCode.FENCED]
    assert resumed.upsert(visit("fresh")) == {"inserted": 1}
    assert keys(lab) == ["first", "fresh"]
    resumed.backend.close()


def test_the_same_plan_from_several_writers_at_once_has_one_effect(lab: BigQueryLab) -> None:
    op = lab.op("wal.append", [visit("second")])
    backends = [second(lab, most_attempts=1000) for _ in range(3)]
    others = [BigQueryLab(lab.standin, backend, meta=lab.meta, opens_run=False) for backend in backends]
    statuses: list[OpStatus] = []

    def send(writer: BigQueryLab) -> None:
        statuses.append(writer.submit(op)[0].status)

    threads = [threading.Thread(target=send, args=(writer,)) for writer in (lab, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status.value for status in statuses) == ["already", "already", "already", "applied"]
    assert keys(lab) == ["first", "second"]
    for backend in backends:
        backend.close()


# The table of errors


def _walk(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _walk(below)


@pytest.mark.parametrize("root", [api.GoogleAPIError, auth.GoogleAuthError])
def test_every_error_of_google_s_is_one_of_ours(root: type[BaseException]) -> None:
    for kind in _walk(root):
        error = kind.__new__(kind, "text")
        code = next(code for known, code in errors.CLASSES if isinstance(error, known))
        assert code is not ErrorCode.INTERNAL or issubclass(kind, api.ClientError)


def test_a_fault_of_the_stand_in_s_own_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="made up"), BigQueryStandIn() as standin:
        standin.violations.append("made up")
