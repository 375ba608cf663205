"""Access tokens for Google Sheets, with Google's own library, against a token endpoint on loopback."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorchestra.errors import ConfigurationError
from lorchestra.settings.secret_ref import SecretRef
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.sheets_http.credentials import SCOPES, SheetsTokens
from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess
from lorchestra.storacle.service import RpcError
from tests.standins.google_tokens import TokenEndpoint, account


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with TokenEndpoint() as endpoint:
        yield endpoint


def refusal(tokens: SheetsTokens) -> ErrorCode:
    with pytest.raises(RpcError) as refused:
        tokens()
    assert refused.value.__context__ is None
    return refused.value.code


def test_a_service_account_is_given_a_token_for_spreadsheets_alone(endpoint: TokenEndpoint) -> None:
    tokens = SheetsTokens(lambda: account(endpoint.url))
    assert [tokens(), tokens()] == ["token-1", "token-1"]
    (claims,) = endpoint.claims
    assert (claims["iss"], claims["scope"]) == ("writer@example.invalid", " ".join(SCOPES))


def test_a_token_that_ends_soon_is_replaced(endpoint: TokenEndpoint) -> None:
    endpoint.lifetime_s = 60
    tokens = SheetsTokens(lambda: account(endpoint.url))
    assert [tokens(), tokens()] == ["token-1", "token-2"]


def test_the_credentials_of_the_machine_are_the_default(
    endpoint: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.json").write_text(account(endpoint.url))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert SheetsTokens(None)() == "token-1"
    assert endpoint.claims[0]["scope"] == " ".join(SCOPES)


def test_threads_share_one_token(endpoint: TokenEndpoint) -> None:
    tokens = SheetsTokens(lambda: account(endpoint.url))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(tokens())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["token-1"] * 8


@pytest.mark.parametrize("key", ["no JSON, but a secret", "[]", "{}", '{"type": "service_account"}'])
def test_a_key_that_is_none_is_unauthorized_and_not_quoted(key: str, caplog: pytest.LogCaptureFixture) -> None:
    assert refusal(SheetsTokens(lambda: key)) is ErrorCode.UNAUTHORIZED
    assert "secret" not in caplog.text


def test_a_key_that_is_not_there_is_unauthorized() -> None:
    assert refusal(SheetsTokens(lambda: SecretRef("env", "NONE").reveal({}))) is ErrorCode.UNAUTHORIZED


def test_an_account_that_google_does_not_know_is_unauthorized(endpoint: TokenEndpoint) -> None:
    endpoint.status = 400
    assert refusal(SheetsTokens(lambda: account(endpoint.url))) is ErrorCode.UNAUTHORIZED


def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    with TokenEndpoint() as gone:
        pass
    assert refusal(SheetsTokens(lambda: account(gone.url))) is ErrorCode.UNAVAILABLE


def test_a_token_is_not_sent_unencrypted_to_another_machine() -> None:
    with pytest.raises(ConfigurationError, match=r"storacle\.sheets\.base_url"):
        SheetsAccess(token=lambda: "token", base_url="http://sheets.example.invalid")


def test_without_googles_library_the_operator_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the import system marks what cannot be imported.
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(ConfigurationError, match="extra `google`"):
        SheetsTokens(None)
