"""A clinic at Google: mailboxes and forms on loopback, held to the discovery documents, and connections to them."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lorchestra.callable import CallableRegistry
from lorchestra.connections.config import Gmail, GoogleForms, HttpAccess
from lorchestra.connections.credentials import Credentials, RefreshToken
from lorchestra.connections.known import Connections
from lorchestra.demo.providers.forms import Form, FormsService
from lorchestra.demo.providers.gmail import GmailService, Mailbox
from lorchestra.demo.providers.messages import Request
from lorchestra.demo.providers.server import ProviderServer
from lorchestra.demo.providers.tokens import Tokens
from lorchestra.executor import Executor
from lorchestra.registry import JobRegistry
from lorchestra.result import ExecutionResult
from lorchestra.schemas import JobDef, RetryPolicy
from tests.jobs import Lab
from tests.standins.google_apis import Checks

ACCOUNT = "reception@clinic.example"
FORM = "form-intake-01"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REFRESH_TOKEN = "CANARY-refresh"
CLIENT_SECRET = "CANARY-secret"
CANARY = "CANARY"
"""In every secret, and in every text of a payload."""

JOBS = JobRegistry(Path(__file__).parents[1] / "jobs/definitions")


class DayClock:
    """Says the time of day it is told, and goes on as any clock."""

    def __init__(self, now: datetime = NOON) -> None:
        self.day = now

    def now(self) -> datetime:
        return self.day

    def monotonic(self) -> float:
        return time.monotonic()


def message(number: int, at: datetime, /, **changes: Any) -> dict[str, Any]:
    """One as the interface gives it in full."""
    body = base64.urlsafe_b64encode(f"{CANARY} text {number}".encode()).decode()
    return {
        "id": f"m{number:04d}",
        "threadId": f"t{number:04d}",
        "labelIds": ["INBOX"],
        "snippet": f"{CANARY} snippet",
        "historyId": str(number),
        "internalDate": str(int(at.timestamp() * 1000)),
        "sizeEstimate": 100,
        "payload": {
            "partId": "",
            "mimeType": "text/plain",
            "filename": "",
            "headers": [{"name": "Subject", "value": f"{CANARY} subject"}],
            "body": {"size": 20, "data": body},
        },
        **changes,
    }


def response(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    moment = at.isoformat().replace("+00:00", "Z")
    answer = {"questionId": "0a1b2c3d", "textAnswers": {"answers": [{"value": f"{CANARY} answer"}]}}
    return {
        "responseId": f"r{number:04d}",
        "createTime": moment,
        "lastSubmittedTime": moment,
        "respondentEmail": f"{CANARY.lower()}@clinic.example",
        "answers": {"0a1b2c3d": answer},
        **changes,
    }


class GoogleClinic:
    """Leaving it fails the test when a request or an answer was not as the documents say."""

    def __init__(self, *, largest_page: int = 500) -> None:
        self.mailbox = Mailbox()
        self.form = Form()
        self.tokens = Tokens({REFRESH_TOKEN: ACCOUNT})
        self.checks = Checks()
        self.gmail = GmailService({ACCOUNT: self.mailbox}, self.tokens, largest_page=largest_page)
        self.forms = FormsService({FORM: self.form}, self.tokens, largest_page=largest_page)
        self.server = ProviderServer(self.tokens, self.gmail, self.forms, observers=[self.checks])

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)
        assert not self.checks.violations

    # What it holds

    def receive(self, number: int, at: datetime, **changes: Any) -> None:
        self.mailbox.add(f"m{number:04d}", message(number, at, **changes))

    def receive_daily(self, count: int, *, before: datetime = NOON, first: int = 1) -> None:
        """One message a day, the last of them the day before."""
        for number in range(count):
            self.receive(first + number, before - timedelta(days=count - number))

    def submit(self, number: int, at: datetime, **changes: Any) -> None:
        self.form.add(f"r{number:04d}", response(number, at, **changes))

    @property
    def messages(self) -> dict[str, Any]:
        return self.mailbox.messages.all()

    @property
    def responses(self) -> dict[str, Any]:
        return self.form.responses.all()

    # How it is reached

    def credentials(self) -> Credentials:
        return RefreshToken(
            client_id="client",
            client_secret=lambda: CLIENT_SECRET,
            refresh_token=lambda: REFRESH_TOKEN,
            token_url=f"{self.server.url}/token",
        )

    def access(self, connection: str, **changes: Any) -> HttpAccess:
        fields: dict[str, Any] = {
            "connection": connection,
            "base_url": self.server.url,
            "credentials": self.credentials(),
            "requests_per_s": 1000.0,
            "retry": RetryPolicy(max_retries=3, initial_delay_seconds=0.0, jitter=False),
        }
        return HttpAccess(**{**fields, **changes})

    def gmail_connection(self, **changes: Any) -> Gmail:
        fields: dict[str, Any] = {"name": "gmail-acct1", "overlap": timedelta(hours=1)}
        return Gmail(http=self.access("gmail-acct1"), **{**fields, **changes})

    def forms_connection(self, **changes: Any) -> GoogleForms:
        fields: dict[str, Any] = {"name": "google-forms-intake-01", "form_id": FORM, "overlap": timedelta(hours=1)}
        return GoogleForms(http=self.access("google-forms-intake-01"), **{**fields, **changes})

    # What was asked

    def fetched(self) -> list[str]:
        """The ids of the messages that were asked for one by one, since the last time."""
        ids = [request.path.rpartition("/")[2] for request in self.server.asked("/messages/")]
        self.server.requests.clear()
        return sorted(ids)

    def listed(self) -> list[Request]:
        return [request for request in self.server.requests if request.path.endswith(("/messages", "/responses"))]


class Desk:
    """Runs the shipped jobs on a clinic, with a storacle of its own."""

    def __init__(self, clinic: GoogleClinic, *connections: Gmail | GoogleForms) -> None:
        self.clinic = clinic
        self.clock = DayClock()
        self.lab = Lab(callables=CallableRegistry(entry_points=lambda: ()))
        self.connections = Connections.of(*(connections or (clinic.gmail_connection(), clinic.forms_connection())))

    def job(self, job_id: str) -> JobDef:
        """The shipped job, without the pauses it takes before it tries a step again."""
        definition = JOBS.load(job_id)
        steps = tuple(step.model_copy(update={"retry": None}) for step in definition.steps)
        return definition.model_copy(update={"steps": steps})

    def run(
        self, job_id: str = "ingest_gmail_acct1", *, executor: Executor | None = None, **payload: Any
    ) -> ExecutionResult:
        return self.lab.run(self.job(job_id), payload=payload, executor=executor or self.executor())

    def resume(self, earlier: ExecutionResult, job_id: str = "ingest_gmail_acct1", **payload: Any) -> ExecutionResult:
        return self.lab.resume(earlier, self.job(job_id), payload=payload, executor=self.executor())

    def executor(self, **changes: Any) -> Executor:
        return self.lab.executor(connections=self.connections, clock=self.clock, **changes)

    def rows(self) -> list[dict[str, Any]]:
        return self.lab.service.rows("raw", "raw_objects")

    def ids(self) -> list[str]:
        return [row["external_id"] for row in self.rows()]

    def cursor(self, key: str = "injest:gmail-acct1:messages") -> str | None:
        found = [row["value"] for row in self.lab.service.rows("storacle", "_state") if row["key"] == key]
        return found[0] if found else None
