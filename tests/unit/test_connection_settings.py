"""`connections:` in lorchestra.yaml: what is taken, what is refused, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from lorchestra import settings
from lorchestra.connections.config import ConnectionConfig, FileFormat, Files, Gmail, GoogleForms
from lorchestra.connections.credentials import MachineDefault, RefreshToken, ServiceAccount
from lorchestra.connections.known import Connections
from lorchestra.errors import ConfigurationError
from lorchestra.settings.connections import makers

CANARY = "CANARY-9e2c"

ALL = """
connections:
  gmail-acct1:
    connector: gmail
    account: reception@clinic.example
    credentials: {kind: service_account, key: 'file:secrets/google.json', subject: reception@clinic.example}
    begin: '2024-01-01'
    overlap: 2h
  google-forms-intake-01:
    connector: google_forms
    form_id: 1FAIpQLSe
    credentials: {kind: refresh_token, client_id: one, client_secret: env:SECRET, refresh_token: env:TOKEN}
  letters: {connector: file, path: 'inbox/*.txt', format: mbox, object_type: email}
profiles:
  local:
    connections:
      gmail-acct1: {base_url: 'http://127.0.0.1:8000', credentials: {kind: default}}
      google-forms-intake-01: {connector: file, path: responses.jsonl}
      more: {connector: file, path: more.csv}
  wrong: {connections: {gmail-acct1: {acount: x}}}
"""


def connections(
    folder: Path, text: str = ALL, *, profile: str | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, ConnectionConfig]:
    (folder / "lorchestra.yaml").write_text(dedent(text), encoding="utf-8")
    found = settings.load(start=folder, profile=profile, environ=environ or {})
    return {name: make() for name, make in makers(found.connections, environ or {}).items()}


def refused(folder: Path, text: str = ALL, **options: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        connections(folder, text, **options)  # type: ignore[arg-type]  # passed on as they are
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_each_connector_has_a_value_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/google.json").write_text("the key\n")

    found = connections(tmp_path, environ={"SECRET": "s", "TOKEN": "t"})

    mailbox, form, letters = found["gmail-acct1"], found["google-forms-intake-01"], found["letters"]
    assert isinstance(mailbox, Gmail)
    assert (mailbox.name, mailbox.account, mailbox.overlap) == (
        "gmail-acct1", "reception@clinic.example", timedelta(hours=2)
    )  # fmt: skip
    assert mailbox.begin == datetime(2024, 1, 1, tzinfo=UTC)
    assert mailbox.http.base_url == "https://gmail.googleapis.com"
    assert isinstance(mailbox.http.credentials, ServiceAccount)
    assert mailbox.http.credentials.key() == "the key"
    assert isinstance(form, GoogleForms)
    assert (form.form_id, form.overlap, form.begin) == ("1FAIpQLSe", timedelta(days=1), None)
    assert isinstance(form.http.credentials, RefreshToken)
    assert (form.http.credentials.client_secret(), form.http.credentials.refresh_token()) == ("s", "t")
    assert form.http.credentials.token_url == "https://oauth2.googleapis.com/token"
    assert letters == Files(name="letters", path=tmp_path / "inbox/*.txt", format=FileFormat.MBOX, object_type="email")


def test_a_secret_is_fetched_when_it_is_used_and_not_before(tmp_path: Path) -> None:
    form = connections(tmp_path)["google-forms-intake-01"]

    assert isinstance(form, GoogleForms)
    assert isinstance(form.http.credentials, RefreshToken)
    with pytest.raises(ConfigurationError, match="the secret `env:TOKEN` cannot be used"):
        form.http.credentials.refresh_token()


def test_a_profile_changes_single_keys_and_takes_away_what_another_kind_does_not_know(tmp_path: Path) -> None:
    found = connections(tmp_path, profile="local")

    mailbox = found["gmail-acct1"]
    assert isinstance(mailbox, Gmail)
    assert (mailbox.http.base_url, mailbox.account) == ("http://127.0.0.1:8000", "reception@clinic.example")
    assert mailbox.http.credentials == MachineDefault()
    assert found["google-forms-intake-01"] == Files(name="google-forms-intake-01", path=tmp_path / "responses.jsonl")
    assert set(found) == {"gmail-acct1", "google-forms-intake-01", "letters", "more"}


def test_the_environment_overrides_a_key_of_a_connection(tmp_path: Path) -> None:
    environ = {
        "LORCHESTRA_CONNECTIONS__GMAIL_ACCT1__OVERLAP": "3d",
        "LORCHESTRA_CONNECTIONS__GMAIL_ACCT1__CREDENTIALS__SUBJECT": "2024",
        "LORCHESTRA_CONNECTIONS__GMAIL_ACCT1__CONCURRENCY": "2",
        "LORCHESTRA_CONNECTIONS__MORE__PATH": "/elsewhere.csv",
    }
    text = ALL.replace("credentials: {kind: default}", "concurrency: 4")

    mailbox, more = (
        connections(tmp_path, text, profile="local", environ=environ)[one] for one in ("gmail-acct1", "more")
    )

    assert isinstance(mailbox, Gmail)
    assert (mailbox.overlap, mailbox.concurrency) == (timedelta(days=3), 2)
    assert isinstance(mailbox.http.credentials, ServiceAccount)
    assert mailbox.http.credentials.subject == "2024"
    assert more == Files(name="more", path=Path("/elsewhere.csv"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"{{connector: {CANARY}}}", "expected 'connector' in it to be one of 'gmail', 'google_forms', 'file'"),
        (f"{{path: {CANARY}}}", "expected 'connector' in it"),
        (CANARY, "found text; expected a mapping"),
        (f"{{connector: gmail, acount: {CANARY}}}", "unknown key 'acount'"),
        ("{connector: google_forms}", "the key 'form_id' is missing"),
        (f"{{connector: gmail, credentials: {{kind: {CANARY}}}}}", "'service_account', 'refresh_token', 'default'"),
        (f"{{connector: gmail, credentials: {{kind: service_account, key: {CANARY}}}}}", "expected `env:NAME`"),
        (f"{{connector: gmail, credentials: {CANARY}}}", "found text; expected a mapping"),
        ("{connector: gmail, begin: '2024-02-30'}", "found no day; expected one such as '2026-01-31'"),
        (f"{{connector: gmail, base_url: 'https://u:{CANARY}@host'}}", "found no plain URL"),
        (f"{{connector: gmail, overlap: {CANARY}}}", "found no length of time"),
        ("{connector: gmail, concurrency: 0}", "expected at least 1"),
        (f"{{connector: file, path: x, format: {CANARY}}}", "expected 'jsonl', 'json', 'csv' or 'mbox'"),
    ],
)
def test_what_means_nothing_is_refused_in_its_place_and_not_quoted(tmp_path: Path, said: str, told: str) -> None:
    message = refused(tmp_path, f"connections: {{a: {said}}}")
    assert told in message
    assert "lorchestra.yaml:1:" in message


def test_names_are_such_as_variables_can_tell_apart(tmp_path: Path) -> None:
    file = "{connector: file, path: x}"
    assert "small letters, digits, '_' and '-'" in refused(tmp_path, f"connections: {{A b: {file}}}")
    assert "differ in '-' and '_' alone" in refused(tmp_path, f"connections: {{a-b: {file}, a_b: {file}}}")


def test_a_mistake_of_a_profile_is_told_when_it_is_used(tmp_path: Path) -> None:
    assert connections(tmp_path)
    assert "unknown key 'acount'" in refused(tmp_path, profile="wrong")


def test_a_variable_that_names_no_key_of_a_connection_is_refused(tmp_path: Path) -> None:
    environ = {"LORCHESTRA_CONNECTIONS__LETTERS__PTAH": CANARY}
    assert "did you mean 'LORCHESTRA_CONNECTIONS__LETTERS__PATH'?" in refused(tmp_path, environ=environ)
    assert "no setting has this name" in refused(tmp_path, environ={"LORCHESTRA_CONNECTIONS": CANARY})


def test_a_connection_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    def broken() -> ConnectionConfig:
        raise ConfigurationError("broken")

    known = Connections({"a": lambda: Files(name="a", path=tmp_path), "b": broken})

    assert known.only("a").get("a").name == "a"
    with pytest.raises(ConfigurationError, match=r"no connection is named 'b'; known: a; did you|add it under"):
        known.only("a").get("b")
    with pytest.raises(ConfigurationError, match="broken"):
        known.only("a", "b")
    with pytest.raises(ConfigurationError, match="there are none; add it under `connections:`"):
        Connections().get("a")
