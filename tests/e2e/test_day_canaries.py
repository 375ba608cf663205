"""A whole day over mails, answers and addresses that can be told from everything else: they stand in the data and in
the files that the jobs write, and nowhere else; the secrets of the connections stand nowhere.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorchestra.demo.clinic import ACCOUNTS, Holdings
from lorchestra.demo.providers.messages import Refusal
from tests.clinic_day import Clinic, small
from tests.e2e.canaries import canary
from tests.e2e.canaries.canary import Canary
from tests.e2e.canaries.project import Project

SUBJECTS, ANSWERS, LABELS = ("subject", "answered", "label")
RESPONDENT, NAME = Canary("respondent", "word"), Canary("name", "word")
ERROR, CLIENT_SECRET = Canary("error", "word"), Canary("client-secret", "word")
TOKENS = {account: Canary(f"token of {account}", "word") for account in ACCOUNTS}
SECRETS = (CLIENT_SECRET, *TOKENS.values())
RECORDS = (
    *(Canary(channel, shape) for channel in (SUBJECTS, ANSWERS, LABELS) for shape in canary.SHAPES),
    RESPONDENT,
    NAME,
)
LOUD = ("-v", "--debug", "--log-format", "json", "--json")
DAY = ("exec", "pipeline", "daily_all")


def test_what_a_day_is_about_shows_in_the_data_and_in_the_files_only(tmp_path: Path) -> None:
    project = Project(tmp_path)
    # The demo wants its folder empty.
    shutil.rmtree(project.root)
    project.root.mkdir()
    with Clinic(_marked(small(mails=10, clients=4))) as clinic:
        clinic.project(project.root)
        _mark_secrets(clinic, project.root)
        refused = Refusal(403, "forbidden", str(ERROR.value)).answer()
        clinic.server.faults.add(refused, path=ACCOUNTS[2])
        failed = project.run(*DAY, *LOUD)
        assert (failed.code, json.loads(failed.out)["failed"]) == (1, 1), str(failed)
        done = project.run(*DAY, "-v", "--debug")
        assert done.code == 0, str(done)
    asked = ((*DAY, "--dry-run", "--json"), ("quarantine", "list", "--json"), ("quarantine", "list"))
    told = [project.run_here(*command) for command in asked]

    said: dict[str, bytes] = {}
    for one in (failed, done, *told):
        said |= one.printed
    files = [project.root / name for name in ("copies", "vault", "secrets")]
    elsewhere = {**said, **project.known(), **project.left(but=files), **_rows(project, *_BESIDE)}
    found = canary.search(elsewhere, (*RECORDS, ERROR, *SECRETS))
    assert not found, "\n".join(f"{one.what} as {one.encoding} in {one.where}: {one.around!r}" for one in found[:20])
    assert not [where for where, content in elsewhere.items() if b"Bearer" in content or b"access-1" in content]
    assert [path.name for path in project.private.rglob("*")] == []

    # They were there: the tables, the copy and the pages hold what is theirs, and still no secret.
    raw = _rows(project, "raw.raw_objects")
    pages = _files(project.root / "vault")
    assert _shown(raw) == {_name(one) for one in RECORDS}
    assert _shown(_rows(project, "canonical.canonical_objects")) >= {
        *(f"{channel}/{shape}" for channel in (SUBJECTS, ANSWERS) for shape in ("word", "unicode", "spaced")),
        _name(RESPONDENT),
    }
    assert _shown(_files(project.root / "copies")) == _shown(pages) == {_name(RESPONDENT), _name(NAME)}
    assert all(RESPONDENT.token in name for name in pages if name.endswith(".md"))
    kept = {**project.data, **_files(project.root / "copies"), **pages}
    assert not [(name, one) for name, content in kept.items() for one in SECRETS if one.token.encode() in content]
    assert len(project.rows("events", "quarantine")) == _MALFORMED


_MALFORMED = 6
_BESIDE = ("events.quarantine", "events.event_log", "storacle._ledger", "storacle._state", "storacle._processed")


def _marked(held: Holdings) -> Holdings:
    for mails in held.mailboxes.values():
        whole = [mail for mail in mails.values() if isinstance(mail.get("payload", {}).get("headers"), list)]
        for number, (mail, text) in enumerate(zip(whole, canary.texts(SUBJECTS) * 2, strict=False)):
            mail["payload"]["headers"] = [
                {"name": "From", "value": f'"{NAME.token}" <{_address(number % 3)}>'},
                {"name": "Subject", "value": text},
            ]
            mail["snippet"] = text
    for responses in held.forms.values():
        for number, response in enumerate(responses.values()):
            if "respondentEmail" in response:
                response["respondentEmail"] = _address(number % 3)
            if isinstance(response["answers"], dict):
                for answer, text in zip(response["answers"].values(), canary.texts(ANSWERS), strict=False):
                    answer["textAnswers"] = {"answers": [{"value": text}]}
    return _with_malformed(held)


def _with_malformed(held: Holdings) -> Holdings:
    """What is refused holds as much of it, in its names too."""
    texts = canary.texts(LABELS)
    mail = next(mail for mail in held.mailboxes[ACCOUNTS[0]].values() if mail["labelIds"] == "INBOX")
    mail["labelIds"] = texts
    mail["payload"]["headers"] = [{"name": text} for text in texts]
    responses = held.forms["followup"].values()
    none = next(response for response in responses if response["answers"] == "none")
    none["answers"] = "\n".join(texts)
    named = next(one for one in responses if "createTime" in one and isinstance(one["answers"], dict))
    named["answers"] = {text: {"textAnswers": {"answers": [{"value": text}]}} for text in texts}
    return held


def _address(number: int) -> str:
    return f"{RESPONDENT.token}.{number}@clients.example"


def _mark_secrets(clinic: Clinic, root: Path) -> None:
    (root / "secrets" / "client").write_text(CLIENT_SECRET.token)
    for account, token in TOKENS.items():
        (root / "secrets" / account.partition("@")[0]).write_text(token.token)
        clinic.let_in({token.token: account})


def _name(one: Canary) -> str:
    return f"{one.channel}/{one.shape}"


def _shown(places: Mapping[str, bytes]) -> set[str]:
    return {one.what for one in canary.search(places, RECORDS)}


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _rows(project: Project, *tables: str) -> dict[str, bytes]:
    rows: dict[str, list[dict[str, Any]]] = {table: project.rows(*table.split(".")) for table in tables}
    assert all(rows.values()), "each of them has rows"
    return {table: json.dumps(found, ensure_ascii=False).encode() for table, found in rows.items()}
