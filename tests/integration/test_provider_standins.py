"""The stand-ins of Gmail and Google Forms are what Google's own client, made from its own documents, can talk to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httplib2  # type: ignore[import-untyped]  # it has no stubs
import pytest
from googleapiclient import discovery as official  # type: ignore[import-untyped]  # it has no stubs
from googleapiclient.errors import HttpError  # type: ignore[import-untyped]

from lorchestra.demo.providers.messages import Answer, Request
from tests.google_clinic import FORM, NOON, REFRESH_TOKEN, GoogleClinic
from tests.standins.discovery import document
from tests.standins.google_apis import Checks


class WithToken(httplib2.Http):  # type: ignore[misc]  # it is untyped
    def __init__(self, token: str) -> None:
        super().__init__(timeout=10)
        self._token = token

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **more: Any) -> Any:
        headers = {**(headers or {}), "Authorization": f"Bearer {self._token}"}
        return super().request(uri, method, body=body, headers=headers, **more)


@pytest.fixture
def clinic() -> Iterator[GoogleClinic]:
    with GoogleClinic(largest_page=2) as clinic:
        yield clinic


def token(clinic: GoogleClinic) -> str:
    http = httplib2.Http(timeout=10)
    body = f"grant_type=refresh_token&refresh_token={REFRESH_TOKEN}&client_id=c&client_secret=s"
    try:
        _, content = http.request(f"{clinic.server.url}/token", "POST", body=body)
    finally:
        http.close()
    return str(Answer(content=content).json["access_token"])


@pytest.fixture
def client(clinic: GoogleClinic, request: pytest.FixtureRequest) -> Iterator[Any]:
    with warnings.catch_warnings():
        # The library asks for libraries of its own that are not installed here.
        warnings.simplefilter("ignore")
        made = official.build_from_document(
            document(*request.param),
            http=WithToken(token(clinic)),
            client_options={"api_endpoint": f"{clinic.server.url}/"},
        )
    yield made
    made.close()


GMAIL = pytest.mark.parametrize("client", [("gmail", "v1")], indirect=True)
FORMS = pytest.mark.parametrize("client", [("forms", "v1")], indirect=True)


@GMAIL
def test_googles_client_lists_a_mailbox_page_by_page_and_gets_messages(clinic: GoogleClinic, client: Any) -> None:
    clinic.receive_daily(5)
    messages = client.users().messages()

    ids, asked = [], messages.list(userId="me", q="after:1763500000", maxResults=100)
    while asked is not None:
        answer = asked.execute()
        ids += [one["id"] for one in answer["messages"]]
        asked = messages.list_next(asked, answer)

    assert ids == ["m0005", "m0004", "m0003", "m0002", "m0001"]
    assert messages.get(userId="me", id="m0002", format="full").execute() == clinic.messages["m0002"]
    assert set(clinic.checks.checked) == {"gmail.users.messages.list", "gmail.users.messages.get"}


@GMAIL
def test_googles_client_is_refused_as_by_google(clinic: GoogleClinic, client: Any) -> None:
    clinic.receive_daily(5)
    messages = client.users().messages()

    def status(asked: Any) -> int:
        with pytest.raises(HttpError) as refused:
            asked.execute()
        return int(refused.value.resp.status)

    assert status(messages.get(userId="me", id="none")) == 404
    assert status(messages.list(userId="other@clinic.example")) == 403
    first = messages.list(userId="me").execute()
    assert status(messages.list(userId="me", q="after:5", pageToken=first["nextPageToken"])) == 400
    clinic.tokens.expire()
    assert status(messages.list(userId="me")) == 401


@FORMS
def test_googles_client_lists_the_responses_to_a_form(clinic: GoogleClinic, client: Any) -> None:
    for number in range(1, 6):
        clinic.submit(number, NOON - timedelta(days=number))
    responses = client.forms().responses()

    found, asked = [], responses.list(formId=FORM, filter="timestamp >= 2026-11-17T12:00:00Z")
    while asked is not None:
        answer = asked.execute()
        found += answer["responses"]
        asked = responses.list_next(asked, answer)

    assert [one["responseId"] for one in found] == ["r0001", "r0002", "r0003"]
    assert found[0] == clinic.responses["r0001"]
    with pytest.raises(HttpError, match="Invalid filter"):
        responses.list(formId=FORM, filter="submitted > 5").execute()
    with pytest.raises(HttpError, match="not found"):
        responses.list(formId="other").execute()


@pytest.mark.parametrize(
    ("path", "query", "answer", "told"),
    [
        ("/gmail/v1/users/me/messages", {"max": ("5",)}, {}, "'max' is not known"),
        ("/gmail/v1/users/me/messages", {"maxResults": ("x",)}, {}, "'maxResults' is not an integer"),
        ("/gmail/v1/users/me/messages", {"q": ("a", "b")}, {}, "'q' is given more than once"),
        ("/gmail/v1/users/me/messages/1", {"format": ("FULL",)}, {}, "'format' is none of"),
        ("/gmail/v1/users/me/messages/1", {}, {"internalDate": 5}, "Message.internalDate is no int64"),
        ("/v1/forms/1/responses", {}, {"responses": [{"id": "1"}]}, "responses[0].id is not a field of the API"),
        ("/v2/forms/1/responses", {}, {}, "no method"),
    ],
)
def test_the_checks_find_what_the_documents_do_not_allow(
    path: str, query: dict[str, tuple[str, ...]], answer: Any, told: str
) -> None:
    checks = Checks()
    checks(Request(verb="GET", path=path, query=query, headers={}), Answer.of_json(answer))
    assert len(checks.violations) == 1
    assert told in checks.violations[0]
