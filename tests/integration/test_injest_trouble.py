"""What can go wrong between `injest` and a provider: what is tried again, what is told, and that no value is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lorchestra.connections.config import Files
from lorchestra.connections.credentials import RefreshToken, ServiceAccount
from lorchestra.connections.known import Connections
from lorchestra.demo.providers.faults import Cut
from lorchestra.errors import ConfigurationError, DefinitionError
from lorchestra.settings.secret_ref import SecretRef
from tests.google_clinic import ACCOUNT, CANARY, NOON, Desk, GoogleClinic
from tests.jobs import call, job, keeping, outcomes, write
from tests.standins.google_tokens import account

QUOTA = b'{"error": {"code": 403, "errors": [{"reason": "%s"}]}}'


@pytest.fixture
def clinic() -> Iterator[GoogleClinic]:
    with GoogleClinic() as clinic:
        clinic.receive_daily(5)
        yield clinic


@pytest.fixture
def desk(clinic: GoogleClinic) -> Desk:
    return Desk(clinic)


def failure(desk: Desk, **payload: Any) -> str:
    """What a run that fails says went wrong."""
    result = desk.run(**payload)
    assert result.status == "failed"
    error = outcomes(result)["fetch"].errors[-1]
    assert error.message
    assert CANARY not in error.message
    return error.message


# Tried again


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (429, "rateLimitExceeded"),
        (403, "rateLimitExceeded"),
        (403, "userRateLimitExceeded"),
        (403, "quotaExceeded"),
        (408, "timeout"),
        (500, "backendError"),
        (503, "backendError"),
    ],
)
def test_what_passes_is_waited_for(clinic: GoogleClinic, desk: Desk, status: int, reason: str) -> None:
    clinic.server.faults.refuse(status, reason, retry_after="0", times=3, path="/messages")
    clinic.server.faults.refuse(status, reason, path="/messages/")

    assert desk.run().status == "completed"

    assert len(desk.ids()) == 5
    assert clinic.server.faults.pending == 0


@pytest.mark.parametrize("where", list(Cut))
def test_a_connection_that_is_cut_is_made_anew(clinic: GoogleClinic, desk: Desk, where: Cut) -> None:
    clinic.server.faults.add(where, path="/messages$")
    clinic.server.faults.add(where, path="/messages/", times=2)

    assert desk.run().status == "completed"

    assert len(desk.ids()) == 5


def test_a_token_that_ends_early_is_replaced_once_for_all_threads(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.server.faults.add(clinic.tokens.expire, path="/messages/", after=2)

    assert desk.run().status == "completed"

    assert clinic.tokens.given == 2
    assert len(desk.ids()) == 5


def test_a_pause_longer_than_the_connection_takes_is_left_to_the_step(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.server.faults.refuse(429, "rateLimitExceeded", retry_after="3600", path="/messages")

    assert failure(desk) == "connection 'gmail-acct1': the provider wants fewer requests (status 429)"

    assert len(clinic.listed()) == 1


def test_tries_come_to_an_end(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.server.faults.refuse(503, "backendError", path="/messages$", times=99)

    assert failure(desk) == "connection 'gmail-acct1': the provider is not able to answer now (status 503)"

    assert len(clinic.listed()) == 4


# Not tried again


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        (400, "badRequest", "refused the request (status 400); check the settings of the connection"),
        (401, "authError", "refused the request (status 401); check its credentials"),
        (403, "forbidden", "refused the request (status 403); check what the account of its credentials may see"),
        (403, "dailyLimitExceeded", "refused the request (status 403)"),
        (404, "notFound", "refused the request (status 404); check its account, its ids and base_url"),
        (302, "found", "redirects (status 302)"),
    ],
)
def test_what_does_not_pass_is_told(clinic: GoogleClinic, desk: Desk, status: int, reason: str, told: str) -> None:
    clinic.server.faults.refuse(status, reason, path="/messages$", times=2)

    assert told in failure(desk)

    assert len(clinic.listed()) == (2 if status == 401 else 1)
    assert desk.rows() == []


@pytest.mark.parametrize(
    "content",
    [
        b"<html>CANARY",
        b'["CANARY"]',
        b'{"messages": "CANARY"}',
        b'{"messages": ["CANARY"]}',
        b'{"messages": [{"id": 5}]}',
        b'{"messages": [], "nextPageToken": {"CANARY": 1}}',
        b"",
    ],
)
def test_an_answer_that_is_no_answer_is_told_without_its_words(
    clinic: GoogleClinic, desk: Desk, content: bytes
) -> None:
    clinic.server.faults.garble(content, path="/messages$")

    assert "check base_url" in failure(desk)
    assert len(clinic.listed()) == 1


def test_a_page_that_is_its_own_next_page_does_not_go_on_for_ever(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.server.faults.garble(b'{"responses": [], "nextPageToken": "CANARY"}', path="/responses", times=9)

    result = desk.run("ingest_google_forms_intake_01")

    assert "its own next page" in str(outcomes(result)["fetch"].errors[0].message)


def test_an_answer_that_is_too_large_is_not_read(clinic: GoogleClinic) -> None:
    http = clinic.access("gmail-acct1", response_max_bytes=100)
    connection = clinic.gmail_connection()
    desk = Desk(clinic)
    desk.connections = Connections.of(type(connection)(name="gmail-acct1", overlap=timedelta(), http=http))

    assert "an answer larger than 100 bytes" in failure(desk)


# Credentials


def with_credentials(clinic: GoogleClinic, credentials: object) -> Desk:
    connection = clinic.gmail_connection()
    http = clinic.access("gmail-acct1", credentials=credentials)
    return Desk(clinic, type(connection)(name="gmail-acct1", overlap=timedelta(), http=http))


def test_a_service_account_acts_for_the_user_of_the_mailbox(clinic: GoogleClinic) -> None:
    key = account(f"{clinic.server.url}/token")
    desk = with_credentials(clinic, ServiceAccount(key=lambda: key, subject=ACCOUNT))

    assert desk.run().status == "completed"

    assert len(desk.ids()) == 5


def test_a_service_account_alone_has_no_mailbox(clinic: GoogleClinic) -> None:
    key = account(f"{clinic.server.url}/token")

    assert "status 400" in failure(with_credentials(clinic, ServiceAccount(key=lambda: key)))


@pytest.mark.parametrize("key", ["no JSON, but CANARY", "[]", "{}", '{"type": "CANARY"}'])
def test_a_key_that_is_none_is_told_and_not_quoted(clinic: GoogleClinic, key: str) -> None:
    told = failure(with_credentials(clinic, ServiceAccount(key=lambda: key)))
    assert told == "connection 'gmail-acct1': its credentials give no token; check them, and what was granted"


def test_a_grant_that_was_taken_back_is_told(clinic: GoogleClinic, desk: Desk) -> None:
    clinic.tokens.grants.clear()
    assert "its credentials give no token" in failure(desk)


def test_a_secret_that_is_not_there_is_told_by_its_reference(clinic: GoogleClinic) -> None:
    given = RefreshToken(
        client_id="client",
        client_secret=lambda: SecretRef("env", "NO_SUCH_SECRET").reveal({}),
        refresh_token=lambda: CANARY,
        token_url=f"{clinic.server.url}/token",
    )
    assert "the secret `env:NO_SUCH_SECRET` cannot be used" in failure(with_credentials(clinic, given))


def test_a_token_endpoint_that_is_not_there_is_waited_for(clinic: GoogleClinic) -> None:
    with GoogleClinic() as gone:
        given = gone.credentials()
    assert "nobody answers" in failure(with_credentials(clinic, given))


@pytest.mark.parametrize("setting", ["base_url", "credentials.token_url"])
def test_nothing_secret_is_sent_unencrypted_to_another_machine(clinic: GoogleClinic, setting: str) -> None:
    changes: dict[str, Any] = {"base_url": "http://gmail.example.invalid"}
    if setting != "base_url":
        url = "http://tokens.example.invalid"
        given = RefreshToken(client_id="c", client_secret=str, refresh_token=str, token_url=url)
        changes = {"credentials": given}
    with pytest.raises(ConfigurationError, match=rf"connections\.x\.{setting} must begin with 'https://'"):
        clinic.access("x", **changes)


@pytest.mark.parametrize(
    "url",
    ["", "host", "ftp://host", "https://", f"https://u:{CANARY}@host", f"https://host?{CANARY}", "https://h:99999"],
)
def test_another_address_is_refused_and_not_quoted(clinic: GoogleClinic, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"connections\.x\.base_url must look like") as refused:
        clinic.access("x", base_url=url)
    assert CANARY not in str(refused.value)


# Before anything runs


def test_a_connection_that_is_not_known_is_refused_before_anything_runs(clinic: GoogleClinic) -> None:
    desk = Desk(clinic, clinic.forms_connection())
    ran: list[Any] = []
    desk.lab.register(early=keeping(ran, "word"))
    steps = [
        call("early", params={"word": "early"}),
        call("fetch", name="injest", params={"connection": "gmail-acct1", "stream": "messages"}),
    ]

    with pytest.raises(
        ConfigurationError, match=r"no connection is named 'gmail-acct1'; known: google-forms-intake-01"
    ):
        desk.lab.run(job(*steps), executor=desk.executor())

    assert ran == []
    assert desk.lab.runs() == ()


def test_params_that_mean_nothing_are_refused_before_anything_runs(desk: Desk) -> None:
    with pytest.raises(DefinitionError, match="'since' is something else; expected an ISO date"):
        desk.run(since=CANARY)
    with pytest.raises(DefinitionError, match="'limit' is something else; expected a whole number"):
        desk.run(limit="all")
    assert desk.lab.runs() == ()


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"stream": "mesages"}, "connection 'gmail-acct1' has no such stream; known: messages; did you mean"),
        ({"source_system": "exchange"}, "gives objects with the source_system 'gmail', and the job expects others"),
        ({"object_type": "contact"}, "gives objects with the object_type 'email', and the job expects others"),
    ],
)
def test_a_job_that_takes_a_connection_for_another_is_refused(desk: Desk, params: dict[str, Any], told: str) -> None:
    asked = {"connection": "gmail-acct1", "stream": "messages", **params}

    result = desk.lab.run(job(call("fetch", name="injest", params=asked), *write("fetch")), executor=desk.executor())

    assert told in str(outcomes(result)["fetch"].errors[0].message)


# Files


def test_files_are_read_as_a_connection(clinic: GoogleClinic, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"id": "1", "note": "CANARY b"}\n{"id": "2"}\n')
    (tmp_path / "a.csv").write_text("id,note\n1,CANARY a\n3,x\n")
    (tmp_path / "a.txt").write_text("left alone")
    files = Files(
        name="letters", path=tmp_path / "[ab].[jc]*", source_system="desk", object_type="letter", id_field="id"
    )
    desk = Desk(clinic)
    desk.connections = Connections.of(files, clinic.gmail_connection())
    params = {"connection": "letters", "stream": "records"}
    steps = [call("fetch", name="injest", params=params)]
    target = {"dataset": "raw", "table": "raw_objects"}
    plan, submitted = write("fetch")
    plan["params"] |= target

    for _ in range(2):
        result = desk.lab.run(job(*steps, plan, submitted), executor=desk.executor())

    assert result.status == "completed"
    # The file whose name comes last is the one that stands.
    assert [(row["idem_key"], row["payload"]) for row in desk.rows()] == [
        ("desk:letters:letter:1", {"id": "1", "note": "CANARY b"}),
        ("desk:letters:letter:2", {"id": "2"}),
        ("desk:letters:letter:3", {"id": "3", "note": "x"}),
    ]
    steps = [call("fetch", name="injest", params={**params, "since": "-7d"})]
    refused = desk.lab.run(job(*steps, plan, submitted), executor=desk.executor())
    assert "reads files, whose records have no time" in str(outcomes(refused)["fetch"].errors[0].message)


# No value is told


def test_no_value_and_no_secret_is_logged_or_recorded(
    clinic: GoogleClinic, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clinic.submit(1, NOON - timedelta(days=1))
    clinic.server.faults.refuse(403, "quotaExceeded", path="/messages")
    clinic.server.faults.garble(b'{"CANARY": ', path="/messages/m0003")

    results = [desk.run(), desk.run(), desk.run("ingest_google_forms_intake_01")]

    assert [result.status for result in results] == ["failed", "completed", "completed"]
    told = [caplog.text, *(str(result.to_dict()) for result in results), str(desk.lab.runs())]
    tokens = [f"access-{number}" for number in range(1, clinic.tokens.given + 1)]
    for secret in (CANARY, CANARY.lower(), *tokens):
        assert not [text for text in told if secret in text]
    # And yet it would be found: the rows have it.
    assert CANARY in str(desk.rows())


def test_a_connection_shows_no_secret() -> None:
    with GoogleClinic() as clinic:
        assert CANARY not in repr(clinic.gmail_connection())
        assert clinic.server.url not in repr(clinic.gmail_connection())
