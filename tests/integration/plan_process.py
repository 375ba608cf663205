"""A process that sends one plan of many mixed ops to a SQLite file, for tests that kill it or fill its disk."""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import PlanRefused, RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.transports import InProcessTransport

OPS = 200
META = RpcMeta(job_id="j", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2026-01-01T00:00:00+00:00")


def mixed_plan(seed: int, ops: int = OPS) -> StoraclePlan:
    """Upserts, appends, deletes, cursors and asserts, some of them in groups; the same for the same seed."""
    chance = random.Random(seed)
    made: list[StoracleOp] = []
    cursor: int | None = None
    for number in range(ops):
        keys = chance.sample(range(60), 5)
        method, params = chance.choice(
            [
                ("table.upsert", _rows("raw", "raw_objects", [_object(key, chance.randrange(3)) for key in keys])),
                ("table.upsert", _rows("lab", "samples", [{"idem_key": f"s{key}", "n": number} for key in keys])),
                ("wal.append", _rows("lab", "log", [{"idem_key": f"l{number}", "n": chance.randrange(9)}])),
                ("table.delete", _rows("raw", "raw_objects", [{"idem_key": f"k{key}"} for key in keys[:2]])),
                ("assert.rows", {"dataset": "lab", "table": "log", "max": ops}),
                ("state.put", {"key": "cursor", "value": number, "expected": cursor}),
            ]
        )
        if method == "state.put":
            cursor = number
        group = f"g{number // 4}" if number % 12 < 4 else None
        made.append(
            StoracleOp(op_id=f"op-{number}", method=method, params=params, idempotency_key=f"{number}", group=group)
        )
    return StoraclePlan(correlation_id=META.run_id, ops=tuple(made))


def contents(path: Path) -> dict[str, Any]:
    """All that storacle says of the file, but for the times."""
    backend = SqliteBackend(path)
    client = RpcClient(InProcessTransport(DataService(backend)))
    found: dict[str, Any] = {"effects": backend.effects}
    for dataset, table in (("raw", "raw_objects"), ("lab", "samples"), ("lab", "log"), ("storacle", "_state")):
        rows = client.query({"dataset": dataset, "table": table}, META)
        found[table] = [{name: value for name, value in row.items() if not name.endswith("_seen")} for row in rows]
    backend.close()
    return found


def send(path: Path, plan: StoraclePlan) -> None:
    backend = SqliteBackend(path)
    client = RpcClient(InProcessTransport(DataService(backend)))
    client.execute_plan(plan, replace(META, token=client.open_run(META)))
    backend.close()


def _object(key: int, version: int) -> dict[str, Any]:
    payload = {"version": version, "text": "x" * 200}
    return {"idem_key": f"k{key}", "source_system": "lab", "object_type": "visit", "payload": payload}


def _rows(dataset: str, table: str, rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {"dataset": dataset, "table": table, "key_columns": ["idem_key"], "rows": rows}


def main() -> None:
    path, seed, most_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    try:
        send(path, mixed_plan(seed))
    except PlanRefused as refused:
        sys.stdout.write(f"{refused.code}\n")
        sys.exit(3)


if __name__ == "__main__":
    main()
