"""Writes to a data file from a process of its own: rows that nobody else writes, or a plan that others send as well."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from lorchestra.schemas import StoracleOp
from tests.data_plane import DataPlane
from tests.integration.data_units import client_of, submit
from tests.integration.plan_process import META, mixed_plan, sending


def write_many(data_path: Path, name: str, rounds: int) -> None:
    meta = replace(META, run_id=name)
    with DataPlane(data_path) as data:
        meta = replace(meta, token=client_of(data).open_run(meta))
        for number in range(rounds):
            rows = [{"idem_key": f"{name}-{number}-{row}", "payload": {"n": 1}} for row in range(20)]
            params = {"dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"], "rows": rows}
            op = StoracleOp(op_id="a", method="table.upsert", params=params, idempotency_key=f"{name}-{number}")
            submit(data, op, meta=meta)


def send_unopened(data_path: Path, seed: int) -> None:
    for _ in sending(data_path, mixed_plan(seed), META):
        pass


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", path, name, rounds]:
            write_many(Path(path), name, int(rounds))
        case ["send", path, seed]:
            send_unopened(Path(path), int(seed))
