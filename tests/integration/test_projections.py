"""The shipped projections, run as jobs: views, SQLite copies and Markdown pages of a small clinic."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from lorchestra.clock import SystemClock
from lorchestra.compiler import compile_job
from lorchestra.executor import Executor
from lorchestra.registry import JobRegistry
from lorchestra.result import ExecutionResult
from lorchestra.run_store import InMemoryRunStore
from lorchestra.schemas import JobDef, JobInstance
from lorchestra.storacle import RpcClient, RpcMeta
from lorchestra.storacle.backends.base import Backend
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.transports import InProcessTransport
from tests import clinic_rows
from tests.bigquery_plane import backend_for
from tests.clinic_rows import Answered, Row, answers, mail
from tests.jobs import HookedTransport, outcomes
from tests.standins.bigquery import BigQueryStandIn

ROOT = Path(__file__).parents[2]
VIEWS = ("view_proj_clients", "view_proj_form_responses")
SYNCS = ("sync_proj_clients", "sync_proj_form_responses", "sync_measurement_events", "sync_observations")
FILES = ("file_proj_clients",)
ALL = (*VIEWS, *SYNCS, *FILES)

ADA, GRACE = "ada@example.invalid", "grace@example.invalid"
DESK = "desk@clinic.invalid"
LOOK = RpcMeta(job_id="look", run_id="look", step_id="look", correlation_id="look", ts="2026-01-01T00:00:00+00:00")


def clinic() -> Iterator[tuple[str, Row]]:
    """Ada answers twice, Grace once, too little; mails of which one lies in two accounts."""
    first = Answered(
        at="2026-01-10T08:00:00Z",
        scores={"phq9_total": (17.0, "moderately severe"), "gad7_total": (4.0, "minimal"),
                "pss_10_total": (20.0, "moderate")},
        flag=True,
    )  # fmt: skip
    later = Answered(
        at="2026-02-10T08:00:00Z", form="google-forms-followup", flag=False,
        scores={"phq9_total": (6.0, "mild"), "gad7_total": None},
    )  # fmt: skip
    yield from answers(ADA, 1, first)
    yield from answers(ADA, 2, later)
    yield from answers(GRACE, 3, Answered(at="2026-01-20T08:00:00Z", scores={"phq9_total": None}, flag=True))
    yield from answers(None, 4, Answered(at="2026-01-21T08:00:00.123456789Z"))
    for account in ("acct1", "acct2"):
        yield "canonical_objects", mail(1, ("Ada L.", ADA), [DESK], "2026-01-11T09:00:00Z", account=account)
    yield "canonical_objects", mail(2, ("The desk", DESK), [ADA.upper(), GRACE], "2026-01-12T09:00:00Z")
    yield "canonical_objects", mail(3, ("Ada Lovelace", ADA), [DESK], "2026-01-13T09:00:00Z")
    yield "canonical_objects", mail(4, (None, ADA), [DESK], "2026-01-14T09:00:00Z")


class World:
    """A project with the shipped content, and folders for what it makes."""

    def __init__(self, folder: Path, backend: Backend | None = None, *, content: Path = ROOT) -> None:
        self.vault = folder / "vault" / "clients"
        self.copies = folder / "copies" / "clinic.db"
        self.backend = backend or SqliteBackend(folder / "data.db")
        roots = Roots({"vault": folder / "vault", "copies": folder / "copies"})
        self.service = DataService(self.backend, outward_methods(roots, SystemClock()))
        self.client = RpcClient(InProcessTransport(self.service))
        self._registry = JobRegistry(ROOT / "jobs" / "definitions")
        self._content = content

    def run(
        self, job: str | JobDef, *, client: RpcClient | None = None, smoke_namespace: str | None = None
    ) -> ExecutionResult:
        definition = self._registry.load(job) if isinstance(job, str) else job
        instance: JobInstance = compile_job(definition, {}, {})
        executor = Executor(InMemoryRunStore(), client=client or self.client, content=self._content)
        return executor.execute(instance, {"smoke_namespace": smoke_namespace})

    def project(self, *jobs: str, **options: Any) -> dict[str, Mapping[str, Any]]:
        """Run the jobs, and what their last steps counted."""
        counted = {}
        for job in jobs or ALL:
            result = self.run(job, **options)
            assert result.status == "completed", result.error
            counted[job] = outcomes(result)["write"].counts
        return counted

    def rows(self, table: str, *, order: str = "1") -> list[dict[str, Any]]:
        """What the copy has of a table."""
        with closing(sqlite3.connect(self.copies)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}")]

    def pages(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.vault.glob("*.md")}

    def marks(self) -> dict[Path, tuple[int, int, bytes]]:
        """What changes of every file when it is written."""
        files = [path for folder in (self.vault, self.copies.parent) for path in folder.rglob("*") if path.is_file()]
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    clinic_rows.store(world.client, clinic())
    yield world
    world.backend.close()


def front_matter(page: str) -> dict[str, Any]:
    _, text, _ = page.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_there_is_a_row_for_each_client_with_what_was_last_known(world: World) -> None:
    world.project()
    ada, grace = world.rows("proj_clients")

    assert ada.pop("projected_at") == grace.pop("projected_at")
    assert ada == {
        "email": ADA,
        "name": "Ada Lovelace",
        "responses": 2,
        "first_response_at": "2026-01-10T08:00:00.000000Z",
        "last_response_at": "2026-02-10T08:00:00.000000Z",
        "phq9_score": 6.0,
        "phq9_label": "mild",
        "phq9_at": "2026-02-10T08:00:00.000000Z",
        # The later questionnaire could not be scored.
        "gad7_score": 4.0,
        "gad7_label": "minimal",
        "gad7_at": "2026-01-10T08:00:00.000000Z",
        "pss_10_score": 20.0,
        "pss_10_label": "moderate",
        "pss_10_at": "2026-01-10T08:00:00.000000Z",
        "flags": 1,
        "last_flag_at": "2026-01-10T08:00:00.000000Z",
        "open_flags": 0,
        "open_flag_label": None,
        "mails": 4,
        "last_mail_at": "2026-01-14T09:00:00.000000Z",
    }
    assert (grace["email"], grace["name"], grace["responses"], grace["mails"]) == (GRACE, None, 1, 1)
    assert (grace["phq9_score"], grace["open_flags"]) == (None, 1)
    assert grace["open_flag_label"] == "thoughts of death or self-harm"


def test_there_is_a_row_for_each_response_and_copies_of_what_was_derived(world: World) -> None:
    world.project()

    responses = world.rows("proj_form_responses", order="response_id")
    assert [(row["response_id"], row["email"], row["answers"], row["measures"]) for row in responses] == [
        ("r1", ADA, 1, 3),
        ("r2", ADA, 1, 2),
        ("r3", GRACE, 1, 1),
        ("r4", None, 1, 0),
    ]
    assert responses[3]["submitted_at"] == "2026-01-21T08:00:00.123456Z"
    assert [row["form"] for row in responses[:2]] == ["google-forms-intake-01", "google-forms-followup"]
    derived = list(clinic())
    for table in ("measurement_events", "observations"):
        assert len(world.rows(table)) == len([row for name, row in derived if name == table])
        assert not {"first_seen", "last_seen", "correlation_id", "processed_at"} & world.rows(table)[0].keys()


def test_there_is_a_page_for_each_client(world: World) -> None:
    world.project()

    assert sorted(world.pages()) == [f"{ADA}.md", f"{GRACE}.md"]
    golden = ROOT / "tests" / "golden" / "pages" / "client.md"
    assert world.pages()[f"{ADA}.md"] == golden.read_text()
    grace = world.pages()[f"{GRACE}.md"]
    assert (
        "> **Please look at this.** The last answers raised a flag: thoughts of death or self-harm (2026-01-20)."
        in grace
    )
    assert "| none so far | | | |" in grace


def test_a_second_time_nothing_is_written_and_everything_says_so(world: World) -> None:
    world.project()
    before = world.marks()

    world.project()

    assert world.marks() == before
    ledger = world.client.query({"dataset": "storacle", "table": "_ledger"}, LOOK)
    counts = [row["counts"] for row in sorted(ledger, key=lambda row: row["applied_at"]) if row["job_id"] in ALL]
    assert counts[len(counts) // 2 :] == [
        *({"created": 0, "unchanged": 1} for _ in VIEWS),
        *({"written": 0, "unchanged": len(world.rows(job.removeprefix("sync_")))} for job in SYNCS),
        {"written": 0, "unchanged": 2},
        {"removed": 0, "kept": 2},
    ]


def test_only_what_changed_moves(world: World) -> None:
    world.project()
    before = world.marks()
    late = Answered(at="2026-03-01T08:00:00Z", scores={"phq9_total": (3.0, "minimal")}, flag=False)
    clinic_rows.store(world.client, answers(GRACE, 9, late))

    world.project()

    changed = {path.name for path, mark in world.marks().items() if before[path] != mark}
    # The list says what is in each page.
    assert changed == {f"{GRACE}.md", ".lorchestra-client.json", "clinic.db"}
    assert front_matter(world.pages()[f"{GRACE}.md"])["phq9_score"] == 3


def test_what_was_deleted_or_changed_by_hand_comes_back(world: World) -> None:
    world.project()
    pages, copies = (
        world.pages(),
        {table: world.rows(table) for table in ("proj_clients", "observations", "measurement_events")},
    )
    (world.vault / f"{ADA}.md").unlink()
    (world.vault / f"{GRACE}.md").write_text("nothing")
    (world.vault / "notes.md").write_text("my own")
    with closing(sqlite3.connect(world.copies)) as connection:
        connection.execute("DELETE FROM proj_clients")
        connection.execute("DROP TABLE observations")
        connection.execute("UPDATE measurement_events SET subject_id = 'nobody'")
        connection.commit()

    world.project()

    assert world.pages() == {**pages, "notes.md": "my own"}
    for table, rows in copies.items():
        unstamped = [{**row, "projected_at": None} for row in rows]
        assert [{**row, "projected_at": None} for row in world.rows(table)] == unstamped


def test_a_client_whose_data_was_removed_has_neither_page_nor_row(world: World) -> None:
    world.project()
    (world.vault / "notes.md").write_text("my own")
    clinic_rows.erase(world.client, answers(GRACE, 3, Answered(at="", scores={"phq9_total": None})))

    world.project()

    assert sorted(world.pages()) == [f"{ADA}.md", "notes.md"]
    assert GRACE not in (world.vault / ".lorchestra-client.json").read_text()
    for table in ("proj_clients", "proj_form_responses", "measurement_events", "observations"):
        assert GRACE not in str(world.rows(table))


def test_without_any_client_there_is_no_page_and_without_the_view_nothing_is_touched(
    world: World, tmp_path: Path
) -> None:
    world.project()
    before = world.pages()
    # The same vault, and data in which nothing is.
    with closing(SqliteBackend(None)) as backend:
        empty = World(tmp_path, backend)
        result = empty.run("file_proj_clients")
        assert result.status == "failed"
        assert "file.prune" in str(result.error)
        assert world.pages() == before
        empty.project("view_proj_clients", "file_proj_clients")
        assert world.pages() == {}


def test_a_run_that_fails_before_its_end_removes_nothing_and_the_next_one_does(world: World) -> None:
    world.project()
    clinic_rows.erase(world.client, answers(GRACE, 3, Answered(at="", scores={"phq9_total": None})))
    clinic_rows.store(world.client, answers("new@example.invalid", 8, Answered(at="2026-03-01T08:00:00Z")))

    def fail(message: Any) -> None:
        if b"file.prune" in str(message).encode():
            raise OSError("the machine goes down")

    failing = RpcClient(HookedTransport(InProcessTransport(world.service), fail))
    assert world.run("file_proj_clients", client=failing).status == "failed"
    assert sorted(world.pages()) == [f"{ADA}.md", f"{GRACE}.md", "new@example.invalid.md"]

    world.project("file_proj_clients")
    assert sorted(world.pages()) == [f"{ADA}.md", "new@example.invalid.md"]


HOSTILE = (
    "../../../tmp/evil",
    "/etc/passwd",
    "..",
    "_smoke/trial/x",
    ".lorchestra-client.json",
    "{{ 7*7 }}@{% raw %}",
    "a\n---\nadmin: true\n---\n# x",
    "<img src=x onerror=alert(1)>",
    "con",
    "é" * 200,
)


def hostile_rows() -> Iterator[tuple[str, Row]]:
    for number, email in enumerate(HOSTILE, start=100):
        scores = {"phq9_total": (9.0, f"{email}\n## [x](http://evil.invalid)")}
        yield from answers(email, number, Answered(at="2026-01-01T00:00:00Z", scores=scores))
        sender = (f"# <script>{email}", email)
        yield "canonical_objects", mail(number, sender, [DESK], "2026-01-02T00:00:00Z")


def test_hostile_records_stay_text_below_their_folder(world: World, tmp_path: Path) -> None:
    clinic_rows.store(world.client, hostile_rows())
    around = {path for path in tmp_path.rglob("*") if tmp_path / "vault" not in path.parents}

    world.project(*VIEWS, *FILES)

    assert {path for path in tmp_path.rglob("*") if tmp_path / "vault" not in path.parents} - {
        tmp_path / "vault"
    } == around
    assert len(world.pages()) == len(HOSTILE) + 2
    assert {path.parent for path in (tmp_path / "vault").rglob("*") if path.is_file()} == {world.vault}
    by_email = {front_matter(page)["email"]: page for page in world.pages().values()}
    # The view takes the space off an address.
    assert {email.lower().strip() for email in HOSTILE} <= by_email.keys()
    for page in by_email.values():
        body = page.split("---\n", 2)[2]
        tokens = MarkdownIt("commonmark").enable("table").parse(body)
        headings = [token.tag for token in tokens if token.type == "heading_open"]
        assert headings == ["h1", "h2", "h2"]
        inline = {child.type for token in tokens for child in token.children or []}
        assert inline <= {"text", "softbreak", "strong_open", "strong_close"}
    before = world.marks()
    world.project(*VIEWS, *FILES)
    assert world.marks() == before


def own_content(tmp_path: Path, template: str) -> Path:
    folder = tmp_path / "content"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "client.md").write_text(template)
    return folder


def test_a_record_of_which_no_page_can_be_made_is_set_aside(world: World, tmp_path: Path) -> None:
    world.project()
    before = world.pages()
    template = "{{ email }} {{ 1 / (phq9_score or 0) }}\n"
    strict = World(tmp_path, world.backend, content=own_content(tmp_path, template))

    result = strict.run("file_proj_clients")

    assert result.status == "partial"
    assert world.pages()[f"{GRACE}.md"] == before[f"{GRACE}.md"]
    assert world.pages()[f"{ADA}.md"].endswith("0.16666666666666666\n")
    (aside,) = world.client.query({"dataset": "events", "table": "quarantine"}, LOOK)
    assert (aside["schema"], aside["rule"]) == ("templates/client.md:1", "template")
    assert "grace" not in str(aside)


def test_a_broken_template_stops_the_job_with_its_line_and_writes_nothing(world: World, tmp_path: Path) -> None:
    world.project()
    before = world.marks()
    broken = World(tmp_path, world.backend, content=own_content(tmp_path, "# {{ email }}\n{{ email | shout }}\n"))

    result = broken.run("file_proj_clients")

    assert result.status == "failed"
    assert result.error is not None
    assert "templates/client.md:2:1: No filter named 'shout'" in result.error
    assert world.marks() == before


@pytest.mark.parametrize("number", [0, 1, 10_000])
def test_a_view_of_any_number_of_rows_is_copied(tmp_path: Path, number: int) -> None:
    world = World(tmp_path)
    raw = [
        ("canonical_objects", {"idem_key": f"k{one:05}", "canonical_format": "questionnaire_response"})
        for one in range(number)
    ]
    clinic_rows.store(world.client, raw)

    for expected in ("written", "unchanged"):
        world.project("view_proj_form_responses", "sync_proj_form_responses")
        ledger = list(world.client.query({"dataset": "storacle", "table": "_ledger"}, LOOK))
        last = max((row for row in ledger if row["method"] == "sqlite.sync"), key=lambda row: row["applied_at"])
        assert last["counts"] == {"written": 0, "unchanged": 0, expected: number}

    assert [row["idem_key"] for row in world.rows("proj_form_responses")] == [row["idem_key"] for _, row in raw]
    world.backend.close()


def test_a_smoke_run_has_views_copies_and_pages_of_its_own(world: World, tmp_path: Path) -> None:
    smoke = "smoke_trial"
    clinic_rows.store(
        world.client, answers("smoke@example.invalid", 1, Answered(at="2026-01-01T00:00:00Z")), namespace=smoke
    )
    world.project()
    before = world.marks()

    world.project(smoke_namespace="trial")

    there = tmp_path / "vault/_smoke/trial/clients"
    assert [path.name for path in there.glob("*.md")] == ["smoke@example.invalid.md"]
    world.client.clean(smoke)
    assert not list((tmp_path / "vault/_smoke").glob("*"))
    assert world.marks() == before


@pytest.mark.prove
def test_bigquery_gives_the_same_copies_and_pages(world: World, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    world.project()
    with BigQueryStandIn() as standin, closing(backend_for(standin, window_rows=1_000)) as backend:
        other = World(tmp_path / "bigquery", backend)
        clinic_rows.store(other.client, clinic())
        other.project()
        before = other.marks()
        other.project()
        assert other.marks() == before

    assert other.pages() == world.pages()
    for table in ("proj_clients", "proj_form_responses", "measurement_events", "observations"):
        assert [{**row, "projected_at": ""} for row in other.rows(table)] == [
            {**row, "projected_at": ""} for row in world.rows(table)
        ]
