"""Mails canonized by a whole job, over the bare JSONata engine on the same records; and two workers over one."""

from __future__ import annotations

import base64
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import jsonatapy
import orjson

from benchmarks.figure import Figure
from benchmarks.upserts import BATCH, in_process
from lorchestra.callable import CallableRegistry
from lorchestra.callable.canonizer.functions import FUNCTIONS
from lorchestra.compiler import compile_job
from lorchestra.executor import Executor
from lorchestra.registry import JobRegistry
from lorchestra.schemas import JobDef
from lorchestra.storacle import RpcClient
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.transports import InProcessTransport

MAILS = 6_000
ROUNDS = 5

CONTENT = Path(__file__).resolve().parents[1]
TRANSFORM = CONTENT / "transforms" / "gmail_to_jmap_lite" / "1.0.0" / "transform.jsonata"
_WORDS = ("the", "clinic", "form", "visit", "on", "Tuesday", "please", "bring", "letter", "answer", "score", "week")


def mails(count: int) -> list[dict[str, Any]]:
    """Messages with two bodies of some hundred words, an attachment here and there, and the headers that mails have."""
    chance = random.Random(1)
    return [_mail(chance, number) for number in range(count)]


def _mail(chance: random.Random, number: int) -> dict[str, Any]:
    text = " ".join(chance.choices(_WORDS, k=chance.randint(20, 200)))
    sender, to = (f"Person {chance.randrange(500)} <p{chance.randrange(500)}@example.org>" for _ in range(2))
    headers = [
        *(
            ("Received", f"from mx{hop}.example.org by mx{hop + 1}.example.org with ESMTPS id {number:x}")
            for hop in range(4)
        ),
        ("DKIM-Signature", f"v=1; a=rsa-sha256; b={'b' * 200}"),
        ("Date", "Sun, 1 Mar 2026 10:00:00 +0100"),
        ("From", sender),
        ("To", to),
        ("Subject", f"=?utf-8?q?Termin_{number}_best=C3=A4tigt?="),
        ("Message-ID", f"<{number}@mail.example.org>"),
        ("In-Reply-To", f"<{number - 1}@mail.example.org>"),
        ("References", f"<{number - 2}@mail.example.org> <{number - 1}@mail.example.org>"),
        ("MIME-Version", "1.0"),
    ]
    bodies = _multipart("0", "alternative", _text("0.0", "plain", text), _text("0.1", "html", f"<p>{text}</p>"))
    parts = [bodies, _pdf("1")] if number % 3 == 0 else [bodies]
    payload = _multipart("", "mixed", *parts)
    payload["headers"] = [*({"name": name, "value": value} for name, value in headers), *payload["headers"]]
    return {
        "id": f"{number:016x}",
        "threadId": f"{number // 3:016x}",
        "labelIds": ["INBOX", "CATEGORY_PERSONAL", *(["UNREAD"] if number % 5 else [])],
        "snippet": text[:100],
        "historyId": str(number),
        "internalDate": str(1_772_355_600_000 + number),
        "sizeEstimate": 4_000 + len(text),
        "payload": payload,
    }


def _part(part_id: str, kind: str, filename: str, body: dict[str, Any], *headers: tuple[str, str]) -> dict[str, Any]:
    named = [{"name": name, "value": value} for name, value in headers]
    return {"partId": part_id, "mimeType": kind, "filename": filename, "headers": named, "body": body}


def _multipart(part_id: str, kind: str, *parts: dict[str, Any]) -> dict[str, Any]:
    header = ("Content-Type", f'multipart/{kind}; boundary="b{part_id}"')
    return {**_part(part_id, f"multipart/{kind}", "", {"size": 0}, header), "parts": list(parts)}


def _text(part_id: str, kind: str, text: str) -> dict[str, Any]:
    data = base64.urlsafe_b64encode(text.encode()).decode()
    header = ("Content-Type", f'text/{kind}; charset="UTF-8"')
    return _part(part_id, f"text/{kind}", "", {"size": len(text), "data": data}, header)


def _pdf(part_id: str) -> dict[str, Any]:
    disposition = ("Content-Disposition", 'attachment; filename="letter.pdf"')
    return _part(part_id, "application/pdf", "letter.pdf", {"size": 48_000, "attachmentId": "A" * 200}, disposition)


def _raw(payloads: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(payloads), BATCH):
        yield [
            {
                "idem_key": f"gmail:gmail-acct1:email:{payload['id']}",
                "source_system": "gmail",
                "connection_name": "gmail-acct1",
                "object_type": "email",
                "external_id": payload["id"],
                "validation_status": "pass",
                "payload": payload,
            }
            for payload in payloads[start : start + BATCH]
        ]


def bare(records: Sequence[bytes]) -> None:
    """The engine and its functions over records as they are kept, and nothing else: nobody looks at the results."""
    expression = jsonatapy.compile(TRANSFORM.read_text())
    for name, function in FUNCTIONS.items():
        expression.register(name, function)
    for record in records:
        expression.evaluate(orjson.loads(record), {"row": {}})


def canonize(path: Path, workers: int) -> None:
    """The shipped job: read, validate, transform, validate, write, mark as done."""
    definition = JobRegistry(CONTENT / "jobs" / "definitions").load("canonize_gmail_jmap")
    written = definition.model_dump(mode="json", by_alias=True)
    written["steps"][0]["workers"] = workers
    with closing(DataService(SqliteBackend(path))) as service:
        executor = Executor(
            client=RpcClient(InProcessTransport(service)),
            callables=CallableRegistry(entry_points=lambda: ()),
            content=CONTENT,
        )
        result = executor.execute(compile_job(JobDef.model_validate(written)))
    assert result.success, result.to_dict()


def measure() -> list[Figure]:
    payloads = mails(MAILS)
    records = [orjson.dumps(payload) for payload in payloads]
    taken: dict[str, list[float]] = {"bare": [], "one": [], "two": []}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        loaded = Path(folder, "loaded.db")
        with in_process(loaded) as writer:
            writer.upsert(_raw(payloads))
        # A job does not have all records in its memory, where the collector of garbage would go through them.
        del payloads
        for number in range(ROUNDS):
            taken["bare"].append(_rate(partial(bare, records)))
            for name, workers in (("one", 1), ("two", 2)):
                path = Path(folder, f"{name}{number}.db")
                shutil.copy(loaded, path)
                taken[name].append(_rate(partial(canonize, path, workers)))
    return [
        _figure("canonize mails, over the bare JSONata engine", taken["one"], taken["bare"], 0.7),
        _figure("canonize mails with 2 workers, over 1", taken["two"], taken["one"], 1.6),
    ]


def _rate(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return MAILS / (time.perf_counter() - begin)


def _figure(name: str, measured: list[float], baseline: list[float], bound: float) -> Figure:
    """Of the round in the middle: what is compared was measured within the same few seconds."""
    rounds = sorted(zip(measured, baseline, strict=True), key=lambda pair: pair[0] / pair[1])
    one, other = rounds[len(rounds) // 2]
    return Figure(name=name, measured=one, baseline=other, unit="mails/s", bound=bound, at_least=True)
