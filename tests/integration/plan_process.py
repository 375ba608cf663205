"""A plan of many mixed ops, of every kind of method, and a process that sends it, to be killed or cut short."""

from __future__ import annotations

import argparse
import random
import resource
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lorchestra.clock import SystemClock
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import PlanRefused, RpcClient, RpcMeta, StoracleClient
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import DRAFT_PREFIX, Roots
from lorchestra.storacle.transports import InProcessTransport
from lorchestra.storacle.transports.http import HttpTransport
from tests.data_plane import DataPlane

OPS = 200
META = RpcMeta(job_id="j", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2026-01-01T00:00:00+00:00")

OUTWARD = ("file.write", "sqlite.sync")
"""They write elsewhere, so they stand in no group."""

# How often each kind comes; all come once before any comes again. Queries are compiled, which takes a while.
_KINDS: Mapping[str, int] = {
    "objects": 8,
    "samples": 8,
    "markers": 4,
    "log": 4,
    "inserts": 3,
    "events": 3,
    "delete objects": 3,
    "delete samples": 2,
    "assert rows": 2,
    "assert exists": 2,
    "assert unique": 2,
    "cursor": 4,
    "furthest": 3,
    "file": 3,
    "copy objects": 2,
    "copy samples": 2,
    "view": 1,
    "table of a query": 1,
}
_OUTWARD_KINDS = frozenset({"file", "copy objects", "copy samples"})
_QUERIES = (
    "SELECT object_type, COUNT(*) AS found FROM raw.raw_objects GROUP BY object_type",
    "SELECT idem_key, JSON_VALUE(payload, '$.version') AS version FROM raw.raw_objects",
    "SELECT JSON_VALUE(row, '$.idem_key') AS idem_key, JSON_VALUE(row, '$.n') AS version FROM lab.samples",
)
_VIEW = ("derived", "seen")


def mixed_plan(seed: int, ops: int = OPS) -> StoraclePlan:
    """Ops of every kind there is, some of them in groups; the same for the same seed."""
    making = _Making(random.Random(seed))
    return StoraclePlan(correlation_id=META.run_id, ops=tuple(making.op(number) for number in range(ops)))


class _Making:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._left = chance.sample(sorted(_KINDS), len(_KINDS))
        self._cursor: int | None = None

    def op(self, number: int) -> StoracleOp:
        group = f"g{number // 4}" if number % 12 < 4 else None
        # The first makes the table that others read, and leaves a row there that none of them deletes.
        kind = self._kind(is_alone=group is None) if number else "samples"
        method, params = self._of_kind(kind, number)
        return StoracleOp(op_id=f"op-{number}", method=method, params=params, idempotency_key=f"{number}", group=group)

    def _kind(self, *, is_alone: bool) -> str:
        allowed = [kind for kind in self._left if is_alone or kind not in _OUTWARD_KINDS]
        if allowed:
            self._left.remove(allowed[0])
            return allowed[0]
        kinds = [kind for kind in _KINDS if is_alone or kind not in _OUTWARD_KINDS]
        return self._chance.choices(kinds, [_KINDS[kind] for kind in kinds])[0]

    def _of_kind(self, kind: str, number: int) -> tuple[str, Mapping[str, Any]]:
        chance = self._chance
        keys = chance.sample(range(1, 60), 5)
        match kind:
            case "objects":
                return "table.upsert", _rows("raw", "raw_objects", [_object(key, chance.randrange(3)) for key in keys])
            case "samples":
                samples = [{"idem_key": f"s{key}", "n": number} for key in (0, *keys)]
                return "table.upsert", _rows("lab", "samples", samples)
            case "markers":
                return "table.upsert", _markers(keys, chance.randrange(3))
            case "log":
                return "wal.append", _rows("lab", "log", [{"idem_key": f"l{number}", "n": chance.randrange(9)}])
            case "inserts":
                return "table.insert", _rows("lab", "inserts", [{"idem_key": f"i{number}", "of": keys}])
            case "events":
                event = {"idem_key": f"e{number}", "event_type": "lab.seen", "payload": {"keys": keys}}
                return "event.append", _rows("events", "event_log", [event])
            case "delete objects":
                return "table.delete", _rows("raw", "raw_objects", [{"idem_key": f"k{key}"} for key in keys[:2]])
            case "delete samples":
                return "table.delete", _rows("lab", "samples", [{"idem_key": f"s{key}"} for key in keys[:2]])
            case "assert rows":
                return "assert.rows", {"dataset": "lab", "table": "log", "max": OPS}
            case "assert exists":
                return "assert.exists", {"dataset": "lab", "table": "samples", "where": {"idem_key": "s0"}}
            case "assert unique":
                return "assert.unique", {"dataset": "raw", "table": "raw_objects", "columns": ["idem_key"]}
            case "cursor":
                expected, self._cursor = self._cursor, number
                return "state.put", {"key": "cursor", "value": number, "expected": expected}
            case "furthest":
                return "state.put", {"key": "furthest", "value": chance.randrange(1000), "never_back": True}
            case _:
                return self._made_of_rows(kind, number)

    def _made_of_rows(self, kind: str, number: int) -> tuple[str, Mapping[str, Any]]:
        match kind:
            case "file":
                path = f"notes/{self._chance.randrange(3)}.md"
                return "file.write", {"path": path, "content": f"Of op {number}."}
            case "copy objects":
                return "sqlite.sync", _copy("raw", "raw_objects", columns=["idem_key", "payload"])
            case "copy samples":
                columns = [{"name": "idem_key", "type": "STRING"}, {"name": "n", "type": "INT64"}]
                return "sqlite.sync", {**_copy("lab", "samples"), "columns": columns}
            case "view":
                dataset, table = _VIEW
                return "view.create", {"dataset": dataset, "table": table, "sql": self._chance.choice(_QUERIES)}
            case _:
                sql = f"CREATE OR REPLACE TABLE derived.kept AS {self._chance.choice(_QUERIES)}"
                return "sql.execute", {"sql": sql}


def units(plan: StoraclePlan) -> list[tuple[StoracleOp, ...]]:
    """The ops that land together or not at all."""
    return [tuple(ops) for _, ops in groupby(plan.ops, lambda op: op.group or op.op_id)]


# Where they land


def plane(path: Path) -> DataPlane:
    """The storacle of a data file, whose files and copies lie beside it."""
    return DataPlane(path, outward_methods(Roots({"files": _vault(path)}), SystemClock()))


def contents(path: Path) -> dict[str, Any]:
    """All there is in the file, and elsewhere, but for the times and for who wrote it, and when. Makes the file."""
    with plane(path) as data:
        seen = data.rows(*_VIEW)
        ledger = sorted(data.rows("storacle", "_ledger"), key=lambda op: (op["applied_at"], op["op_id"]))
    return {"ops": [_said(op) for op in ledger], "seen": seen, "tables": _dumped(path), "elsewhere": elsewhere(path)}


def elsewhere(path: Path) -> dict[str, Any]:
    """What lies in the files and in the copies; of those that a killed process began, nothing."""
    found: dict[str, Any] = {}
    for file in sorted(_vault(path).rglob("*")):
        if file.suffix == ".db":
            found |= {f"{file.name}: {table}": rows for table, rows in _dumped(file).items()}
        elif file.is_file() and file.suffix == ".md" and not file.name.startswith(DRAFT_PREFIX):
            found[file.name] = file.read_text()
    return found


def integrity(path: Path) -> list[str]:
    """What SQLite finds wrong with the file and with the copies; of each that is whole it says `ok`."""
    said = []
    for file in (path, *_vault(path).rglob("*.db")):
        with closing(sqlite3.connect(file)) as connection:
            said += [word for (word,) in connection.execute("PRAGMA integrity_check")]
    return said


def _vault(path: Path) -> Path:
    return path.with_name(f"{path.stem}.files")


_OF_THE_RUN = frozenset({"first_seen", "last_seen", "applied_at", "correlation_id", "run_id", "token", "attempt_n"})
_UNLIKE = frozenset({"_schema_version", "_upkeep", "_runs", "_ledger"})
"""They say when, or who; and the ledger says what a repeated op counted, so that is compared by itself."""


def _dumped(path: Path) -> dict[str, Any]:
    """The tables of a database, each with its definition."""
    with closing(sqlite3.connect(path)) as connection:
        named = connection.execute("SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view')")
        found = {name: (kind, sql) for name, kind, sql in named if name not in _UNLIKE}
        return {
            name: {"sql": sql, "rows": _table(connection, name) if kind == "table" else []}
            for name, (kind, sql) in sorted(found.items())
        }


def _table(connection: sqlite3.Connection, name: str) -> list[str]:
    every = [column[1] for column in connection.execute(f'PRAGMA table_info("{name}")')]
    columns = ", ".join(f'"{column}"' for column in every if column not in _OF_THE_RUN) or "1"
    return sorted(map(repr, connection.execute(f'SELECT {columns} FROM "{name}"')))


def _said(op: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the ledger says of an op. Of one that writes elsewhere only how much: killed after it had written, and
    before the ledger knew, it finds all of it unchanged when it comes again.
    """
    counts = op["counts"]
    return (op["op_id"], op["method"], op["key"], sum(counts.values()) if op["method"] in OUTWARD else counts)


# How they are sent


@contextmanager
def client_at(target: str) -> Iterator[StoracleClient]:
    """A client of the storacle at an address, or of one of its own over a data file."""
    if target.startswith("http:"):
        transport = HttpTransport(target)
        try:
            yield RpcClient(transport)
        finally:
            transport.close()
        return
    with plane(Path(target)) as data:
        yield RpcClient(InProcessTransport(data))


def sending(target: Path | str, plan: StoraclePlan, meta: RpcMeta | None = None) -> Iterator[int]:
    """Send a plan, one unit in a message; after each, how many ops have been answered. Opens the run unless given
    whose it is.
    """
    with client_at(str(target)) as client:
        meta = meta or replace(META, token=client.open_run(META))
        answered = 0
        for unit in units(plan):
            answered += len(client.execute_plan(replace(plan, ops=unit), meta))
            yield answered


def send(target: Path | str, plan: StoraclePlan) -> None:
    for _ in sending(target, plan):
        pass


def _object(key: int, version: int) -> dict[str, Any]:
    payload = {"version": version, "text": "x" * 200}
    return {"idem_key": f"k{key}", "source_system": "lab", "object_type": "visit", "payload": payload}


def _markers(keys: list[int], version: int) -> Mapping[str, Any]:
    rows = [
        {"stage": "seen", "idem_key": f"k{key}", "content_hash": f"c{version}", "code_hash": "1", "result": "ok"}
        for key in keys
    ]
    return {**_rows("storacle", "_processed", rows), "key_columns": ["stage", "idem_key"]}


def _copy(dataset: str, table: str, **source: Any) -> dict[str, Any]:
    source = {"dataset": dataset, "table": table, **source}
    return {"path": "copies/lab.db", "table": table, "key_columns": ["idem_key"], "source": source}


def _rows(dataset: str, table: str, rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {"dataset": dataset, "table": table, "key_columns": ["idem_key"], "rows": rows}


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("seed", type=int)
    parser.add_argument("--most-bytes", type=int, default=0)
    given = parser.parse_args()
    if given.most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.most_bytes, given.most_bytes))
    _say("begun")
    try:
        for answered in sending(given.target, mixed_plan(given.seed)):
            _say(answered)
    except PlanRefused as refused:
        _say(ErrorCode(refused.code).name)
        sys.exit(3)


if __name__ == "__main__":
    main()
