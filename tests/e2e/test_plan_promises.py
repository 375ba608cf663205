"""The table of docs/plans.md that says what each method promises: every cell of it, against the service that ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorchestra.clock import SystemClock
from lorchestra.json_value import sha256
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpResult, OpStatus, PlanRefused, RpcClient, RpcMeta
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods import OUTWARD
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess
from lorchestra.storacle.transports import InProcessTransport
from tests.data_plane import DataPlane
from tests.standins.sheets import SPREADSHEET, TOKEN, StandInSheets

from . import pages

SECTION = pages.page("docs/plans.md").section("What each key promises")
TABLE = {"dataset": "raw", "table": "notes", "key_columns": ["idem_key"]}
PAGES = {"folder": "pages", "list": "pages"}
META = RpcMeta(job_id="job", run_id="", step_id="write", correlation_id="c", ts="2024-05-01T00:00:00+00:00")


def cells() -> Iterator[tuple[str, str, str, str]]:
    for methods, resent, same, other in pages.rows_of(SECTION):
        for method in methods.split(", "):
            yield method.strip("`"), resent, same, other


class Runs:
    """Runs that write the same or other content; the key of an op is made of its run and its content."""

    def __init__(self, data: DataPlane, folder: Path, sheets: StandInSheets) -> None:
        self._data = data
        self._folder = folder
        self._sheets = sheets
        self._client = RpcClient(InProcessTransport(data))
        self._metas: dict[str, RpcMeta] = {}

    def rows(self) -> list[dict[str, Any]]:
        return self._data.rows("raw", "notes")

    def elsewhere(self) -> tuple[object, ...]:
        """The files, when they were written last, and the sheets."""
        files = [path for path in sorted(self._folder.rglob("*")) if path.is_file()]
        return (
            [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files],
            [(sheet.title, sheet.table) for sheet in self._sheets.sheets],
        )

    def effects(self) -> int:
        return self._data.effects

    def submit(self, run_id: str, method: str, params: dict[str, Any]) -> OpResult:
        if run_id not in self._metas:
            meta = replace(META, run_id=run_id)
            self._metas[run_id] = replace(meta, token=self._client.open_run(meta))
        op = StoracleOp(op_id="op-1", method=method, params=params, idempotency_key=sha256([run_id, method, params]))
        (result,) = self._client.execute_plan(StoraclePlan(correlation_id="c", ops=(op,)), self._metas[run_id])
        return result

    def says(self, run_id: str, method: str, params: dict[str, Any]) -> str:
        """What became of it, in the words of the table."""
        try:
            result = self.submit(run_id, method, params)
        except PlanRefused as refused:
            return {ErrorCode.CONFLICT: "refused (`conflict`)"}.get(ErrorCode(refused.code), "asked anew")
        if result.status is OpStatus.ALREADY:
            return "recognised"
        # Where something was removed, what was kept beside it is no news.
        (name,) = [
            name for name, count in result.counts.items() if count and not (name == "kept" and result.counts["removed"])
        ]
        words = {"updated": "replaces", "unchanged": "`unchanged`", "absent": "`absent`", "rows": "carried out"}
        return words.get(name, name)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with StandInSheets() as sheets:
        access = SheetsAccess(token=lambda: TOKEN, base_url=sheets.base_url)
        with DataPlane(outward=outward_methods(Roots({"files": tmp_path}), SystemClock(), access)) as data:
            yield Runs(data, tmp_path, sheets)


def contents(method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run sends, and what another sends under the same keys."""
    if method == "state.put":
        return {"key": "feed", "value": 1}, {"key": "feed", "value": 2}
    if method.startswith("assert."):
        # The second asks for what is not so.
        (name, good, bad) = {
            "assert.rows": ("count", 2, 3),
            "assert.exists": ("where", {"text": "same"}, {"text": "other"}),
            "assert.unique": ("columns", ["idem_key"], ["text"]),
        }[method]
        plain = {"dataset": "raw", "table": "notes"}
        return {**plain, name: good}, {**plain, name: bad}
    if method in ("view.create", "sql.execute"):
        queries = [f"SELECT '{text}' AS text" for text in "AB"]
        if method == "view.create":
            first, second = ({"dataset": "derived", "table": "it", "sql": query} for query in queries)
        else:
            first, second = ({"sql": f"CREATE OR REPLACE TABLE derived.it AS {query}"} for query in queries)
        return first, second
    if method == "file.write":
        return {"path": "note.md", "content": "A"}, {"path": "note.md", "content": "B"}
    if method == "file.prune":
        return {**PAGES, "keep": ["B.md", "C.md"]}, {**PAGES, "keep": ["C.md"]}
    if method in OUTWARD:
        sources = [{"dataset": "raw", "table": "notes", "where": {"text": text}} for text in "AB"]
        columns: list[Any] = ["idem_key", "text"]
        target: dict[str, Any] = {"spreadsheet_id": SPREADSHEET, "sheet": "Notes", "columns": columns}
        if method == "sqlite.sync":
            columns = [{"name": name, "type": "STRING"} for name in columns]
            target = {"path": "copy.db", "table": "notes", "key_columns": ["idem_key"], "columns": columns}
        return {**target, "source": sources[0]}, {**target, "source": sources[1]}
    return {**TABLE, "rows": [{"idem_key": "note:1", "text": "A"}]}, {
        **TABLE,
        "rows": [{"idem_key": "note:1", "text": "B"}],
    }


@pytest.mark.parametrize(("method", "resent", "same", "other"), tuple(cells()))
def test_a_method_promises_what_the_table_says(runs: Runs, method: str, resent: str, same: str, other: str) -> None:
    first, second = contents(method)
    if method.startswith("assert."):
        notes = [{"idem_key": f"note:{number}", "text": "same"} for number in (1, 2)]
        runs.submit("before", "table.upsert", {**TABLE, "rows": notes})
    if method == "file.prune":
        pages_there = [{"path": f"{name}.md", "content": name} for name in "ABC"]
        runs.submit("before", "file.write", {**PAGES, "files": pages_there})
    if method in OUTWARD:
        runs.submit("before", "table.upsert", {**TABLE, "rows": [{"idem_key": text, "text": text} for text in "AB"]})
    if method == "table.delete":
        runs.submit("before", "table.upsert", first)

    runs.submit("run-1", method, first)
    rows, effects, elsewhere = runs.rows(), runs.effects(), runs.elsewhere()

    assert resent.startswith(runs.says("run-1", method, first))
    assert (runs.rows(), runs.effects(), runs.elsewhere()) == (rows, effects, elsewhere)
    said = runs.says("run-2", method, first)
    assert same.startswith("asked anew" if said == "matched" else said)
    assert runs.elsewhere() == elsewhere
    said = runs.says("run-3", method, second)
    assert (runs.elsewhere() != elsewhere) == (method in OUTWARD)
    assert said in other if method == "state.put" else other.startswith(said)


def test_a_then_b_then_a_again_ends_as_a(runs: Runs) -> None:
    first, second = contents("table.upsert")

    for run_id, content in (("run-1", first), ("run-2", second), ("run-3", first)):
        runs.submit(run_id, "table.upsert", content)

    assert runs.rows() == first["rows"]


def test_a_cursor_is_stored_when_it_expects_what_is_stored(runs: Runs) -> None:
    first, second = contents("state.put")
    runs.submit("run-1", "state.put", first)

    result = runs.submit("run-2", "state.put", {**second, "expected": first["value"]})

    assert result.counts["stored"] == 1


def test_an_assertion_that_is_sent_again_is_not_asked_again(runs: Runs) -> None:
    runs.submit("before", "table.upsert", contents("table.upsert")[0])
    claim = {"dataset": "raw", "table": "notes", "count": 1}
    runs.submit("run-1", "assert.rows", claim)
    runs.submit("before", "table.delete", contents("table.delete")[0])

    assert runs.submit("run-1", "assert.rows", claim).status is OpStatus.ALREADY
    with pytest.raises(PlanRefused):
        runs.submit("run-2", "assert.rows", claim)
