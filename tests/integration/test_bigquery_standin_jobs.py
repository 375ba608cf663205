"""The stand-in of BigQuery when things go wrong: scripts, transactions, limits, faults, lost answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests.exceptions
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    GoogleAPICallError,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
)
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY, QueryJobConfig, ScalarQueryParameter

from tests.standins.bigquery import BigQueryStandIn
from tests.standins.bigquery.client import connect

ONCE = DEFAULT_RETRY.with_predicate(lambda _: False)
QUICK = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.02)
COUNTER = "SELECT n FROM work.counter"
BUMP = "UPDATE work.counter SET n = n + 1 WHERE TRUE"


@pytest.fixture
def standin() -> Iterator[BigQueryStandIn]:
    with BigQueryStandIn() as standin:
        yield standin
        assert standin.faults.pending == 0


@pytest.fixture
def client(standin: BigQueryStandIn) -> Iterator[bigquery.Client]:
    with connect(standin) as client:
        client.create_dataset("work")
        client.query_and_wait("CREATE TABLE work.counter AS SELECT 0 AS n")
        yield client


def transaction(*statements: str) -> str:
    return ";\n".join(("BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"))


def answer(client: bigquery.Client, sql: str, **config: Any) -> list[tuple[Any, ...]]:
    return [row.values() for row in client.query(sql, job_config=QueryJobConfig(**config)).result()]


def test_a_script_has_variables_conditions_and_the_rows_of_its_last_select(client: bigquery.Client) -> None:
    script = f"""
        DECLARE changed INT64;
        DECLARE word STRING DEFAULT 'none';
        {BUMP};
        SET changed = @@row_count;
        IF changed = 0 THEN
          RAISE USING MESSAGE = 'nothing changed';
        ELSEIF changed = 1 THEN
          SET word = CASE WHEN @suffix = '!' THEN CONCAT('one', @suffix) ELSE 'many; END IF' END;
        END IF;
        CREATE TEMP TABLE staged AS SELECT changed AS c, word AS w;
        SELECT c, w FROM staged;
    """
    parameter = ScalarQueryParameter("suffix", "STRING", "!")
    job = client.query(script, job_config=QueryJobConfig(query_parameters=[parameter]))
    assert [row.values() for row in job.result()] == [(1, "one!")]
    assert job.statement_type == "SCRIPT"
    children = list(client.list_jobs(parent_job=job))
    assert [child.statement_type for child in children] == ["UPDATE", "CREATE_TABLE_AS_SELECT", "SELECT"]
    assert children[0].num_dml_affected_rows == 1


def test_a_failed_assertion_rolls_the_transaction_back(client: bigquery.Client) -> None:
    guarded = transaction(BUMP, f"ASSERT ({COUNTER}) = 5 AS 'the token is stale'")
    with pytest.raises(BadRequest, match="the token is stale"):
        answer(client, guarded)
    assert answer(client, COUNTER) == [(0,)]
    answer(client, guarded.replace("= 5", "= 1"))
    assert answer(client, COUNTER) == [(1,)]
    answer(client, transaction(BUMP).replace("COMMIT", "ROLLBACK"))
    assert answer(client, COUNTER) == [(1,)]


def test_an_exception_handler_rolls_back_and_raises_again(client: bigquery.Client) -> None:
    body = transaction(BUMP, "RAISE USING MESSAGE = 'stop'")
    script = f"BEGIN {body}; EXCEPTION WHEN ERROR THEN ROLLBACK TRANSACTION; %s; END;"
    assert answer(client, script % "SELECT @@error.message") == [("stop",)]
    with pytest.raises(BadRequest, match="stop"):
        answer(client, script % "RAISE")
    assert answer(client, COUNTER) == [(0,)]


def test_of_two_transactions_that_update_a_table_the_second_fails(
    standin: BigQueryStandIn, client: bigquery.Client
) -> None:
    hold = standin.faults.hold_job(after_statement=2, matching="n = n [+] 1")
    first = client.query(transaction(BUMP))
    assert hold.reached.wait(10)
    with pytest.raises(
        BadRequest, match=r"aborted due to concurrent update against table stand-in:work\.counter"
    ) as found:
        answer(client, transaction("UPDATE work.counter SET n = n + 10 WHERE TRUE"))
    assert found.value.errors[0]["reason"] == "invalidQuery"
    assert answer(client, COUNTER) == [(0,)]
    hold.release()
    first.result()
    assert answer(client, COUNTER) == [(1,)]


def test_a_transaction_reads_what_was_there_when_it_began(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    hold = standin.faults.hold_job(after_statement=1, matching="BEGIN")
    late = client.query(transaction(COUNTER))
    assert hold.reached.wait(10)
    answer(client, BUMP)
    hold.release()
    assert [row.n for row in late.result()] == [0]


def test_a_transaction_loses_to_a_change_of_the_table_made_since_it_began(
    standin: BigQueryStandIn, client: bigquery.Client
) -> None:
    answer(client, "INSERT INTO work.counter (n) VALUES (100)")
    hold = standin.faults.hold_job(after_statement=1, matching="BEGIN")
    late = client.query(transaction("UPDATE work.counter SET n = 101 WHERE n = 100"))
    assert hold.reached.wait(10)
    answer(client, "UPDATE work.counter SET n = 1 WHERE n = 0")
    hold.release()
    with pytest.raises(BadRequest, match="concurrent update"):
        late.result()
    assert sorted(answer(client, COUNTER)) == [(1,), (100,)]


def test_a_statement_outside_a_transaction_waits_its_turn(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    hold = standin.faults.hold_job(after_statement=2)
    first = client.query(transaction(BUMP))
    assert hold.reached.wait(10)
    second = client.query(BUMP)
    hold.release()
    first.result()
    second.result()
    assert answer(client, COUNTER) == [(2,)]


def test_labels_are_kept_with_the_job(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    answer(client, "SELECT 1", labels={"run": "r1", "step": "write"})
    assert standin.jobs[-1].labels == {"run": "r1", "step": "write"}
    assert client.get_job(standin.jobs[-1].id).labels == {"run": "r1", "step": "write"}


def test_a_job_over_its_time_is_stopped(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    hold = standin.faults.hold_job()
    late = client.query(BUMP, job_config=QueryJobConfig(job_timeout_ms=1))
    assert hold.reached.wait(10)
    assert not late.done()
    hold.release()
    with pytest.raises(GoogleAPICallError, match="Job timed out"):
        late.result()
    assert answer(client, COUNTER) == [(0,)]


def test_a_query_over_its_limit_of_bytes_fails_without_effect(
    standin: BigQueryStandIn, client: bigquery.Client
) -> None:
    standin.pretend_bytes = 10_485_760
    # The client knows no status for this reason, and calls it an error of the server.
    with pytest.raises(InternalServerError, match="10485760 or higher required") as found:
        answer(client, BUMP, maximum_bytes_billed=1_000_000)
    assert found.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    assert answer(client, COUNTER, maximum_bytes_billed=10_485_760) == [(0,)]


def test_a_dry_run_checks_and_measures_and_does_nothing(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    standin.pretend_bytes = 77
    dry = QueryJobConfig(dry_run=True)
    jobs = len(standin.jobs)
    job = client.query(COUNTER, job_config=dry)
    assert (job.total_bytes_processed, [field.name for field in job.schema or ()]) == (77, ["n"])
    client.query(BUMP, job_config=dry)
    with pytest.raises(NotFound):
        client.query("SELECT * FROM work.missing", job_config=dry)
    assert len(standin.jobs) == jobs
    assert answer(client, COUNTER) == [(0,)]


@pytest.mark.parametrize(("status", "reason"), [(429, "rateLimitExceeded"), (503, "backendError"), (500, None)])
def test_the_client_retries_what_is_worth_it(
    standin: BigQueryStandIn, client: bigquery.Client, status: int, reason: str | None
) -> None:
    standin.faults.answer(status, reason, times=2, verb="POST", path="/jobs$")
    client.query(BUMP, retry=QUICK).result()
    standin.faults.answer(status, reason, times=2, verb="GET")
    assert client.get_table("work.counter", retry=QUICK).num_rows == 1
    assert answer(client, COUNTER) == [(1,)]
    standin.faults.answer(503)
    with pytest.raises(ServiceUnavailable):
        client.get_table("work.counter", retry=ONCE)


@pytest.mark.parametrize("reason", ["accessDenied", "quotaExceeded"])
def test_the_client_does_not_retry_what_is_forbidden(
    standin: BigQueryStandIn, client: bigquery.Client, reason: str
) -> None:
    standin.faults.answer(403, reason)
    with pytest.raises(Forbidden) as found:
        client.get_table("work.counter", retry=QUICK)
    assert found.value.errors[0]["reason"] == reason


def test_a_job_whose_answer_was_lost_is_found_by_its_id(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    standin.faults.drop("after", verb="POST", path="/jobs$")
    with pytest.raises(requests.exceptions.ConnectionError):
        client.query(BUMP, job_id="bump-1", retry=ONCE, job_retry=None)
    with pytest.raises(Conflict, match="Already Exists: Job"):
        client.query(BUMP, job_id="bump-1", job_retry=None)
    found = client.get_job("bump-1")
    found.result()
    assert isinstance(found, bigquery.QueryJob)
    assert found.num_dml_affected_rows == 1
    assert answer(client, COUNTER) == [(1,)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_connection_gives_one_effect_with_the_clients_own_retry(
    standin: BigQueryStandIn, client: bigquery.Client, when: Any
) -> None:
    standin.faults.drop(when, verb="POST", path="/jobs$")
    client.query(BUMP, retry=QUICK).result()
    standin.faults.drop(when, verb="POST", path="/queries$")
    client.query_and_wait(BUMP, retry=QUICK)
    assert answer(client, COUNTER) == [(2,)]


def test_a_job_may_fail_half_way_and_what_was_open_is_rolled_back(
    standin: BigQueryStandIn, client: bigquery.Client
) -> None:
    standin.faults.fail_job("internalError", after_statement=3, matching="BEGIN")
    job = client.query(f"{BUMP}; {transaction(BUMP)}", job_retry=None)
    with pytest.raises(GoogleAPICallError, match="made to fail by the test"):
        job.result(retry=None)
    assert client.get_job(job.job_id).error_result["reason"] == "internalError"
    assert answer(client, COUNTER) == [(1,)]


def test_no_handler_of_a_script_catches_the_end_of_its_job(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    standin.faults.fail_job("internalError", after_statement=2, matching="EXCEPTION")
    script = f"BEGIN {transaction(BUMP)}; EXCEPTION WHEN ERROR THEN COMMIT TRANSACTION; END;"
    with pytest.raises(GoogleAPICallError, match="made to fail by the test"):
        client.query(script, job_retry=None).result(retry=ONCE)
    assert answer(client, COUNTER) == [(0,)]


def test_a_load_job_may_fail_without_effect(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    standin.faults.fail_job("backendError", matching="LOAD work.counter")
    job = client.load_table_from_json([{"n": 5}], "work.counter")
    with pytest.raises(GoogleAPICallError, match="made to fail"):
        job.result()
    assert answer(client, COUNTER) == [(0,)]


def test_a_slow_job_runs_for_some_polls_and_may_be_cancelled(standin: BigQueryStandIn, client: bigquery.Client) -> None:
    standin.faults.slow_job(polls=2)
    job = client.query(BUMP)
    assert [job.done() for _ in range(3)] == [False, False, True]
    hold = standin.faults.hold_job()
    cancelled = client.query(BUMP)
    assert hold.reached.wait(10)
    cancelled.cancel()
    hold.release()
    with pytest.raises(GoogleAPICallError, match="User requested cancellation"):
        cancelled.result()
    assert client.get_job(cancelled.job_id).error_result["reason"] == "stopped"
    assert answer(client, COUNTER) == [(1,)]
