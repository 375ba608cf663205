"""A process that sends one plan of many mixed ops to a SQLite file, for tests that kill it or fill its disk."""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import PlanRefused, RpcClient, RpcMeta
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.transports import InProcessTransport
from tests import data_plane
from tests.data_plane import DataPlane

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


def units(plan: StoraclePlan) -> list[tuple[StoracleOp, ...]]:
    """The ops that land together or not at all."""
    return [tuple(ops) for _, ops in groupby(plan.ops, lambda op: op.group or op.op_id)]


def contents(path: Path) -> dict[str, Any]:
    """All that storacle says of the file, but for the times."""
    return data_plane.contents(path, "raw.raw_objects", "lab.samples", "lab.log")


def sending(path: Path, plan: StoraclePlan, meta: RpcMeta | None = None) -> Iterator[int]:
    """Send a plan, one unit in a message; after each, how many ops have been answered. Opens the run unless given
    whose it is.
    """
    with DataPlane(path) as data:
        client = RpcClient(InProcessTransport(data))
        meta = meta or replace(META, token=client.open_run(META))
        answered = 0
        for unit in units(plan):
            answered += len(client.execute_plan(replace(plan, ops=unit), meta))
            yield answered


def send(path: Path, plan: StoraclePlan) -> None:
    for _ in sending(path, plan):
        pass


def _object(key: int, version: int) -> dict[str, Any]:
    payload = {"version": version, "text": "x" * 200}
    return {"idem_key": f"k{key}", "source_system": "lab", "object_type": "visit", "payload": payload}


def _rows(dataset: str, table: str, rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {"dataset": dataset, "table": table, "key_columns": ["idem_key"], "rows": rows}


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    path, seed, most_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    _say("begun")
    try:
        for answered in sending(path, mixed_plan(seed)):
            _say(answered)
    except PlanRefused as refused:
        _say(ErrorCode(refused.code).name)
        sys.exit(3)


if __name__ == "__main__":
    main()
