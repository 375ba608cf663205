"""The demo clinic for tests: its providers in this process, and projects whose daily pipeline runs on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from lorchestra.demo import clinic
from lorchestra.demo.clinic import Holdings
from lorchestra.demo.project import COPIES, SETTINGS, VAULT, DemoProject
from lorchestra.demo.providers.forms import Form, FormsService
from lorchestra.demo.providers.gmail import GmailService, Mailbox
from lorchestra.demo.providers.server import ProviderServer
from lorchestra.demo.providers.tokens import Tokens
from lorchestra.storacle.tables import TABLES, Role
from lorchestra.workspace import Workspace

_DERIVED = ("proj_form_responses", "proj_clients")
_TOMORROW = "2026-06-02T09:00:00.000Z"
_WRITTEN = ("raw_objects", "canonical_objects", "measurement_events", "observations", "quarantine")


def small(*, mails: int = 12, clients: int = 8) -> Holdings:
    """A few mails of each account, all that few clients answered, and records that are malformed in every way."""
    held = clinic.of_day(1, scale=clients / 80)
    for account, lying in held.mailboxes.items():
        newest = sorted(lying.values(), key=lambda mail: int(mail["internalDate"]))[-mails:]
        held.mailboxes[account] = {mail["id"]: mail for mail in newest}
    responses = held.forms["followup"]
    first, second, third = list(held.mailboxes[clinic.ACCOUNTS[0]].values())[:3]
    first.pop("payload")
    second["payload"] = {"headers": "none"}
    third["labelIds"] = "INBOX"
    one, other, nobody = list(responses.values())[:3]
    one["answers"] = "none"
    other.pop("createTime")
    nobody.pop("respondentEmail")
    return held


def changed(held: Holdings) -> Holdings:
    """The same a day later: a mail has come, a response was sent anew, and one that was malformed is whole."""
    later = deepcopy(held)
    mails, responses = later.mailboxes[clinic.ACCOUNTS[1]], later.forms["followup"]
    newest = max(mails.values(), key=lambda mail: int(mail["internalDate"]))
    mails["f00d"] = {**newest, "id": "f00d", "internalDate": str(int(newest["internalDate"]) + 60_000)}
    last = max(responses.values(), key=lambda response: response["lastSubmittedTime"])
    last["lastSubmittedTime"] = _TOMORROW
    for answer in last["answers"].values():
        answer["textAnswers"]["answers"][0]["value"] = "Not at all"
    broken = next(response for response in responses.values() if "createTime" not in response)
    broken.update(createTime=_TOMORROW, lastSubmittedTime=_TOMORROW)
    return later


class Clinic:
    """What it holds is served as it was when this was made, or given anew."""

    def __init__(self, held: Holdings) -> None:
        self._tokens = Tokens({})
        self._mailboxes = {account: Mailbox() for account in held.mailboxes}
        self._forms = {form: Form() for form in held.forms}
        self.hold(held)
        gmail, forms = GmailService(self._mailboxes, self._tokens), FormsService(self._forms, self._tokens)
        self.server = ProviderServer(self._tokens, gmail, forms)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def hold(self, held: Holdings) -> None:
        """From now on it holds this too."""
        for account, mails in held.mailboxes.items():
            for mail_id, mail in mails.items():
                self._mailboxes[account].add(mail_id, deepcopy(mail))
        for form, responses in held.forms.items():
            for response_id, response in responses.items():
                self._forms[form].add(response_id, deepcopy(response))

    def project(self, folder: Path, **storacle: Any) -> DayProject:
        demo = DemoProject(folder)
        tokens = {token: account for account, token in demo.prepare().items()}
        self._tokens.grants.update(tokens)
        demo.connect(self.server.url)
        path = folder / SETTINGS
        settings = yaml.safe_load(path.read_text())
        settings["storacle"].update(storacle)
        path.write_text(yaml.safe_dump(settings))
        return DayProject(folder)

    def turn_away(self, account: str) -> dict[str, str]:
        """Nobody is let in who has a token of this account; what can be given to `let_in` again."""
        gone = {token: user for token, user in self._tokens.grants.items() if user == account}
        for token in gone:
            del self._tokens.grants[token]
        return gone

    def let_in(self, tokens: Mapping[str, str]) -> None:
        self._tokens.grants.update(tokens)


class DayProject:
    def __init__(self, root: Path) -> None:
        self.root = root

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """What each table and view says, without who wrote it and when."""
        with Workspace.open(start=self.root, environ={}) as workspace:
            return {
                **{
                    table.name: list(_content(workspace, table.dataset, table.name, _said_by(table.name)))
                    for table in TABLES
                    if table.name in _WRITTEN
                },
                **{view: list(_content(workspace, "derived", view)) for view in _DERIVED},
            }

    def copies(self) -> dict[str, list[dict[str, Any]]]:
        """The tables of the SQLite file, in the order of their keys, without when they were copied."""
        path = self.root / COPIES / "clinic.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                name: [_without_time(row) for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY 1')]
                for name in sorted(names)
                if not name.startswith("_")
            }

    def pages(self) -> dict[str, str]:
        """Every file of the vault."""
        vault = self.root / VAULT
        return {str(path.relative_to(vault)): path.read_text() for path in sorted(vault.rglob("*")) if path.is_file()}

    def all(self) -> dict[str, Any]:
        """All that a day leaves for people: equal for two projects that saw the same day."""
        return {"tables": self.tables(), "copies": self.copies(), "pages": self.pages()}


def _said_by(name: str) -> list[str]:
    (table,) = [table for table in TABLES if table.name == name]
    return [column.name for column in table.columns if column.role is Role.CONTENT]


def _content(
    workspace: Workspace, dataset: str, table: str, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    read: dict[str, Any] = {"dataset": dataset, "table": table, **({"columns": columns} if columns else {})}
    rows = [dict(row) for row in workspace.read(read)]
    first = ("job_id", "idem_key", "email")
    return iter(sorted(rows, key=lambda row: [str(row[name]) for name in first if name in row]))


def _without_time(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if name != "projected_at"}  # noqa: SIM118  a row's own keys
