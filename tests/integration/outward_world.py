"""A storacle over a real backend that writes files, SQLite copies and sheets, and what a test asks of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from lorchestra.clock import SystemClock
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpResult, RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.outward.base import OutwardMethod
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess
from lorchestra.storacle.transports import InProcessTransport
from tests.standins.sheets import SPREADSHEET, TOKEN, StandInSheets

METHODS = ("file.write", "sqlite.sync", "sheets.write_table")
SMOKE = "smoke_trial"
PEOPLE = {"dataset": "lab", "table": "people"}
META = RpcMeta(job_id="j", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2026-01-01T00:00:00+00:00")


def people(number: int) -> list[dict[str, Any]]:
    return [{"idem_key": f"p{n:05}", "name": f"N{n}", "age": n} for n in range(number)]


class World:
    def __init__(
        self,
        folder: Path,
        sheets: StandInSheets | None,
        *,
        backend: type[SqliteBackend] = SqliteBackend,
        held: Callable[[OutwardMethod], OutwardMethod] = lambda method: method,
    ) -> None:
        self.vault = folder / "vault"
        self.sheets = sheets
        access = None
        if sheets is not None:
            access = SheetsAccess(token=lambda: TOKEN, base_url=sheets.base_url, sleep=lambda _: None)
        self._backend = backend(folder / "data.db")
        made = outward_methods(Roots({"files": self.vault}), SystemClock(), access)
        methods = {name: held(method) for name, method in made.items()}
        self.client = RpcClient(InProcessTransport(DataService(self._backend, methods)))
        self._numbers = count(1)

    def close(self) -> None:
        self._backend.close()

    def meta(self, run_id: str = "01RUN", namespace: str = "prod") -> RpcMeta:
        meta = replace(META, run_id=run_id, namespace=namespace)
        return replace(meta, token=self.client.open_run(meta))

    def submit(self, method: str, meta: RpcMeta, *, key: str | None = None, **changes: Any) -> OpResult:
        (result,) = self.client.execute_plan(plan(op(method, key or f"key-{next(self._numbers)}", **changes)), meta)
        return result

    def store(self, rows: list[dict[str, Any]], *, namespace: str = "prod") -> None:
        """Exactly these are the people from now on."""
        meta = self.meta("store", namespace)
        gone = [{"idem_key": row["idem_key"]} for row in self.client.query(PEOPLE, meta)]
        for method, all_of_them in (("table.delete", gone), ("table.upsert", rows)):
            for begin in range(0, len(all_of_them), 5_000):
                batch = all_of_them[begin : begin + 5_000]
                params = {**PEOPLE, "key_columns": ["idem_key"], "rows": batch}
                sent = StoracleOp(
                    op_id="store", method=method, params=params, idempotency_key=f"store-{next(self._numbers)}"
                )
                self.client.execute_plan(plan(sent), meta)

    def made(self, method: str, *, namespace: str = "prod") -> Any:
        """What is there of what the method makes: its content, or None."""
        smoke = namespace.removeprefix("smoke_") if namespace != "prod" else None
        folder = self.vault / "_smoke" / smoke if smoke else self.vault
        match method:
            case "file.write":
                path = folder / "notes/today.md"
                return path.read_text() if path.exists() else None
            case "sqlite.sync":
                return _copied(folder / "out/copy.db")
            case _:
                assert self.sheets is not None
                title = f"{namespace} People" if smoke else "People"
                return next((sheet.table for sheet in self.sheets.sheets if sheet.title == title), None)


def op(method: str, key: str, *, group: str | None = None, **changes: Any) -> StoracleOp:
    params: Mapping[str, Any] = {**_GIVEN[method], **changes}
    return StoracleOp(op_id=f"op-{key}", method=method, params=params, idempotency_key=key, group=group)


def plan(*ops: StoracleOp) -> StoraclePlan:
    return StoraclePlan(correlation_id=META.run_id, ops=ops)


def wanted(method: str, rows: list[dict[str, Any]]) -> Any:
    """What the method is to make when these are the people."""
    match method:
        case "file.write":
            return _GIVEN[method]["content"]
        case "sqlite.sync":
            return [(row["idem_key"], row["name"], row["age"]) for row in rows]
        case _:
            return [["idem_key", "age"], *([row["idem_key"], row["age"]] for row in rows)]


def _copied(path: Path) -> list[Any] | None:
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT idem_key, name, age FROM people ORDER BY idem_key").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return found


_COLUMNS = [
    {"name": name, "type": kind} for name, kind in (("idem_key", "STRING"), ("name", "STRING"), ("age", "INT64"))
]
_GIVEN: Mapping[str, Mapping[str, Any]] = {
    "file.write": {"path": "notes/today.md", "content": "Nothing to report."},
    "sqlite.sync": {
        "path": "out/copy.db",
        "table": "people",
        "key_columns": ["idem_key"],
        "columns": _COLUMNS,
        "source": PEOPLE,
    },
    "sheets.write_table": {
        "spreadsheet_id": SPREADSHEET,
        "sheet": "People",
        "columns": ["idem_key", "age"],
        "source": {**PEOPLE, "order_by": ["idem_key"]},
    },
}


def worlds(folder: Path, **options: Any) -> Iterator[World]:
    with StandInSheets() as sheets:
        world = World(folder, sheets, **options)
        yield world
        world.close()
